import { MezError } from "../errors/error.js";
import { nearest } from "../errors/suggestion.js";
import type { Command, CommandGroup, CommandNode } from "../plugin/commands.js";

/** What can be found by the word that a person types. */
interface Named {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly hidden?: boolean;
}

/** Tells whether a node has commands under it. */
export function isGroup(node: CommandNode): node is CommandGroup {
  return "commands" in node;
}

/**
 * Finds a command by name, alias, or habit: `ls` and `list`, `rm` and `delete` mean the same everywhere.
 * @param path What stands before the word, for the message: `mezctl locks`.
 * @throws {MezError} `INVALID_ARGUMENT` naming the nearest command
 */
export function findCommand<T extends Named>(word: string, commands: readonly T[], path: string): T {
  const found =
    commands.find(({ name }) => name === word) ??
    commands.find(({ aliases }) => aliases?.includes(word)) ??
    commands.find(({ name }) => name === SYNONYMS.get(word));
  if (found !== undefined) return found;
  const names = commands.filter(({ hidden }) => hidden !== true).flatMap(({ name, aliases = [] }) => [name, ...aliases]);
  const near = nearest(word, names);
  const shown = word.length > 40 ? `${word.slice(0, 40)}…` : word;
  throw new MezError(
    "INVALID_ARGUMENT",
    `unknown command "${path} ${shown}"${near === undefined ? "" : `; did you mean ${near}?`}`,
    {
      fields: { hint: `"${path} --help" lists the commands` },
    },
  );
}

/** Every other name under which a command of a list is reached. Habits give way to a command that has the name. */
export function otherNames(command: Named, commands: readonly Named[]): string[] {
  const habit = SYNONYMS.get(command.name);
  const taken = commands.some(({ name, aliases }) => name === habit || aliases?.includes(habit ?? ""));
  return [...(command.aliases ?? []), ...(habit === undefined || taken ? [] : [habit])];
}

/** Every command under a node with its path, for checks and completion: `["locks", "create"]`. */
export function* leavesOf(
  node: CommandNode,
  path: readonly string[] = [],
): Generator<{ path: readonly string[]; command: Command }> {
  const here = [...path, node.name];
  if (!isGroup(node)) yield { path: here, command: node };
  else for (const child of node.commands) yield* leavesOf(child, here);
}

/**
 * Refuses two commands that want one name.
 * @throws {MezError} `INTERNAL`: a mistake in the definition
 */
export function checkNames(commands: readonly Named[], path: string): void {
  const seen = new Set<string>();
  for (const name of commands.flatMap((command) => [command.name, ...(command.aliases ?? [])])) {
    if (seen.has(name)) throw new MezError("INTERNAL", `command "${path} ${name}" is defined twice`);
    seen.add(name);
  }
}

// --- internal ---

const SYNONYMS: ReadonlyMap<string, string> = new Map([
  ["ls", "list"],
  ["list", "ls"],
  ["rm", "delete"],
  ["delete", "rm"],
]);
