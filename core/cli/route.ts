import { MezError } from "../errors/error.js";
import type { Binary, CommandNode, Commands, Flags } from "../plugin/commands.js";
import { GivenArguments, readUntilOperand } from "./arguments.js";
import { checkNames, findCommand, isGroup } from "./command-tree.js";
import { flagTable } from "./flag-table.js";

/** A command at the top level as it is known before its code is loaded. */
export interface CommandSummary {
  readonly name: string;
  readonly summary: string;
  readonly aliases?: readonly string[];
  readonly hidden?: boolean;
  /** Imports the plugin's `commands.ts`: `async () => (await import("../plugins/locks/commands.js")).default`. */
  load(): Promise<Commands>;
}

/** Where the words of a command line lead. */
export interface Route {
  /** The binary and the names of the commands, as they are called and not as they were typed. */
  readonly path: readonly string[];
  /** `undefined` at the top level. */
  readonly node: CommandNode | undefined;
  readonly given: GivenArguments;
  /** What is left to be read by the command. */
  readonly args: readonly string[];
}

/**
 * Follows the words of a command line down the command tree. Only the module of the command that was typed is loaded.
 * @throws {MezError} `INVALID_ARGUMENT`: unknown command or flag
 */
export async function findRoute(
  binary: Binary,
  commands: readonly CommandSummary[],
  globals: Flags,
  args: readonly string[],
): Promise<Route> {
  checkNames(commands, binary);
  const given = new GivenArguments();
  const table = flagTable(globals);
  let rest = args;
  const nextWord = (): string | undefined => {
    const index = readUntilOperand(rest, table, given);
    const word = rest[index];
    rest = rest.slice(index + 1);
    return word;
  };
  let word = nextWord();
  const explained = word === "help";
  if (explained) {
    given.helpWanted = true;
    word = nextWord();
  }
  if (word === undefined) return { path: [binary], node: undefined, given, args: [] };
  const summary = findCommand(word, commands, binary);
  let node = await loadCommand(summary, binary);
  const path: string[] = [binary, node.name];
  while (isGroup(node)) {
    checkNames(node.commands, path.join(" "));
    word = nextWord();
    if (word === undefined) break;
    node = findCommand(word, node.commands, path.join(" "));
    path.push(node.name);
  }
  return { path, node, given, args: explained ? [] : rest };
}

/**
 * Loads the command that a summary speaks of.
 * @throws {MezError} `INTERNAL` when its module has no such command
 */
export async function loadCommand(summary: CommandSummary, binary: Binary): Promise<CommandNode> {
  const node = (await summary.load())[binary]?.find(({ name }) => name === summary.name);
  if (node === undefined)
    throw new MezError("INTERNAL", `command "${binary} ${summary.name}" is listed, and its module does not define it`);
  return node;
}
