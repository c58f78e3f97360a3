import type { Binary, Command, Flags } from "../plugin/commands.js";
import { command } from "../plugin/commands.js";
import { write } from "./output.js";
import type { CommandSummary } from "./route.js";

/** What the commands of every program need to know of it. */
export interface ProgramFacts {
  readonly binary: Binary;
  readonly version: string;
  readonly commands: readonly CommandSummary[];
  readonly globals: Flags;
  /** More commands that are known without asking anybody. @param args The words of the command line. */
  readonly known?: (args: readonly string[]) => Promise<readonly CommandSummary[]>;
}

/** The commands that every program has: `help`, `version`, `completion`, and the hidden one that completion calls. */
export function builtinCommands(program: ProgramFacts): CommandSummary[] {
  const all: Command[] = [helpCommand(), versionCommand(program), completionCommand(program), completeCommand(program)];
  return all.map((entry) => ({ ...entry, load: async () => ({ [program.binary]: [entry] }) }));
}

// --- internal ---

/** `findRoute` answers it before it could run; it is here to be listed. */
function helpCommand(): Command {
  return command({
    name: "help",
    summary: "Show how a command is written",
    rest: { name: "command", description: "Names of the command" },
    async run() {},
  });
}

function versionCommand({ binary, version }: ProgramFacts): Command {
  return command({
    name: "version",
    summary: "Show the version",
    async run({ output, stdout }) {
      if (output.format === "table") await write(stdout, `${binary} ${version}\n`);
      else
        await output.record({ binary, version }, [
          { key: "binary", header: "Binary", value: (row) => row.binary },
          { key: "version", header: "Version", value: (row) => row.version },
        ]);
    },
  });
}

function completionCommand({ binary }: ProgramFacts): Command {
  return command({
    name: "completion",
    summary: "Print a script that completes commands in a shell",
    examples: [`source <(${binary} completion bash)`, `${binary} completion fish > ~/.config/fish/completions/${binary}.fish`],
    positionals: { shell: { description: "Shell", choices: ["bash", "zsh", "fish"] } },
    async run({ stdout }, { shell }) {
      const { completionScript } = await import("./completion-script.js");
      await write(stdout, completionScript(shell, binary));
    },
  });
}

function completeCommand(program: ProgramFacts): Command {
  return command({
    name: "__complete",
    summary: "Print what can follow",
    hidden: true,
    rest: { name: "word", description: "Words typed so far, the last one unfinished" },
    async run({ stdout }, { rest }) {
      const { completions } = await import("./completion.js");
      const own = [...program.commands, ...builtinCommands(program)];
      const isOwn = rest.slice(0, -1).some((word) => own.some(({ name }) => name === word));
      const commands = [...own, ...(isOwn ? [] : ((await program.known?.(rest)) ?? []))];
      const found = await completions({ ...program, commands }, rest);
      await write(stdout, found.map(({ word, summary }) => `${word}\t${summary}\n`).join(""));
    },
  });
}
