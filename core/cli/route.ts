import { isMezError, MezError, messageOf } from "../errors/error.js";
import type { Binary, CommandContext, CommandNode, Commands, Flags } from "../plugin/commands.js";
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

/** Commands of plugins that the server has and this program does not. */
export interface ServerCommands {
  /**
   * Asks the server.
   * @returns `null` when it has none of this name either.
   * @throws {MezError} `PLUGIN_NOT_ENABLED` for one that it had before; why it cannot be asked
   */
  find(word: string, context: CommandContext): Promise<CommandSummary | null>;
  /** What can be known of them without asking, for help and completion. */
  known(context: CommandContext): Promise<readonly CommandSummary[]>;
}

/** Looks a word up that no command here has. @param args All words of the command line. */
export type MoreCommands = (word: string, args: readonly string[]) => Promise<CommandSummary | null>;

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
 * @param more Asked for a first word that is in none of `commands`.
 * @throws {MezError} `INVALID_ARGUMENT`: unknown command or flag
 */
export async function findRoute(
  binary: Binary,
  commands: readonly CommandSummary[],
  globals: Flags,
  args: readonly string[],
  more?: MoreCommands,
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
  const summary = await findSummary(word, commands, binary, args, more);
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

// --- internal ---

/** What is wrong with the command that was meant, or may have been. */
const SAYS_WHY = [
  "PLUGIN_NOT_ENABLED",
  "INVALID_DOCUMENT",
  "CONFIG_INVALID",
  "PLUGIN_INTEGRITY_FAILED",
  "PLUGIN_MANIFEST_INVALID",
  "PLUGIN_PACKAGE_REFUSED",
] as const;

async function findSummary(
  word: string,
  commands: readonly CommandSummary[],
  binary: Binary,
  args: readonly string[],
  more: MoreCommands | undefined,
): Promise<CommandSummary> {
  try {
    return findCommand(word, commands, binary);
  } catch (unknown) {
    if (more === undefined || !isMezError(unknown, "INVALID_ARGUMENT")) throw unknown;
    const found = await more(word, args).catch((cause: unknown) => {
      if (isMezError(cause, ...SAYS_WHY)) throw cause;
      const hint = `the server was not asked for commands of its plugins: ${messageOf(cause)}`;
      throw new MezError(unknown.code, unknown.message, { cause, fields: { ...unknown.fields, hint } });
    });
    if (found === null) throw unknown;
    return found;
  }
}
