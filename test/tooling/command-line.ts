import { USER_COMMANDS } from "../../cli/msh/commands.js";
import { pluginCommands } from "../../cli/plugin-commands.js";
import { readCommandArguments, readInput } from "../../core/cli/arguments.js";
import { builtinCommands } from "../../core/cli/builtin-commands.js";
import { isGroup } from "../../core/cli/command-tree.js";
import { flagTable } from "../../core/cli/flag-table.js";
import { MEZCTL_FLAGS, MEZD_FLAGS, MSH_FLAGS } from "../../core/cli/global-flags.js";
import { type CommandSummary, findRoute } from "../../core/cli/route.js";
import type { Binary, Commands, Flags } from "../../core/plugin/commands.js";

/** A call of one of our programs, as a text shows it. */
export interface WrittenCommand {
  readonly binary: Binary;
  readonly args: readonly string[];
}

/** Finds the calls of mezctl, msh and mezd in a piece of shell; what is around them, pipes and redirections, is left out. */
export function commandsIn(shell: string): readonly WrittenCommand[] {
  const found: WrittenCommand[] = [];
  for (const line of shell.replace(/\\\n\s*/g, " ").split("\n")) {
    for (const start of line.matchAll(/(?<=^|[\s(;|&/])(mezctl|msh|mezd)(?=\s|$)/g)) {
      if (isInComment(line, start.index)) continue;
      found.push({ binary: start[1] as Binary, args: wordsFrom(line.slice(start.index + start[0].length)) });
    }
  }
  return found;
}

/**
 * Reads a call as the program would, without running it.
 * @param whole Whether everything that is required has to be there.
 * @throws {MezError} `INVALID_ARGUMENT` and what else reading a command line throws
 */
export async function checkCommand({ binary, args }: WrittenCommand, whole: boolean): Promise<void> {
  const { globals, commands } = PROGRAMS[binary];
  const facts = { binary, version: "", commands, globals };
  const route = await findRoute(binary, [...commands, ...builtinCommands(facts)], globals, args);
  if (route.node === undefined || isGroup(route.node)) return;
  readCommandArguments(route.args, route.node, flagTable(globals, route.node), route.given);
  if (whole && !route.given.helpWanted) readInput(route.given, globals, route.node, route.path.join(" "), {});
}

/** The commands and global flags of every program. */
export const PROGRAMS: Readonly<Record<Binary, { readonly globals: Flags; readonly commands: readonly CommandSummary[] }>> = {
  mezctl: { globals: MEZCTL_FLAGS, commands: pluginCommands("mezctl") },
  msh: { globals: MSH_FLAGS, commands: [...USER_COMMANDS, ...pluginCommands("msh")] },
  mezd: {
    globals: MEZD_FLAGS,
    commands: [
      daemon("start", () => import("../../daemons/start.js")),
      daemon("auth", () => import("../../daemons/auth.js")),
      daemon("proxy", () => import("../../daemons/proxy.js")),
      daemon("node", () => import("../../daemons/node.js")),
      daemon("identity", () => import("../../daemons/identity.js")),
      daemon("health", () => import("../../daemons/health.js")),
      daemon("database", () => import("../../daemons/database.js")),
      daemon("config", () => import("../../daemons/config.js")),
    ],
  },
};

// --- internal ---

function daemon(name: string, load: () => Promise<{ readonly default: Commands }>): CommandSummary {
  return { name, summary: "", load: async () => (await load()).default };
}

function isInComment(line: string, index: number): boolean {
  return /(^|\s)#/.test(line.slice(0, index).replace(/'[^']*'|"[^"]*"/g, ""));
}

const PLACEHOLDER = /^<[a-z-]+>/;

/** The words up to a pipe, a redirection, a comment or a closing parenthesis. `<id>` is a word of its own. */
function wordsFrom(text: string): readonly string[] {
  const words: string[] = [];
  let word: string | null = null;
  for (let at = 0; at < text.length; at += 1) {
    const rest = text.slice(at);
    const [char = ""] = rest;
    const quoted = /^'([^']*)'|^"([^"]*)"/.exec(rest);
    const placeholder = PLACEHOLDER.exec(rest);
    if (quoted !== null) {
      word = (word ?? "") + (quoted[1] ?? quoted[2] ?? "");
      at += quoted[0].length - 1;
    } else if (placeholder !== null) {
      word = (word ?? "") + placeholder[0].slice(1, -1);
      at += placeholder[0].length - 1;
    } else if (/\s/.test(char)) {
      if (word !== null) words.push(word);
      word = null;
    } else if (/[|<>;&)`]/.test(char) || (char === "#" && word === null)) break;
    else word = (word ?? "") + char;
  }
  if (word !== null) words.push(word);
  return words.filter((each) => each !== "…" && each !== "...");
}
