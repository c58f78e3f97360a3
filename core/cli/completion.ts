import { isMezError } from "../errors/error.js";
import type { Command, CommandNode } from "../plugin/commands.js";
import type { ProgramFacts } from "./builtin-commands.js";
import { findCommand, isGroup, otherNames } from "./command-tree.js";
import { type FlagTable, flagTable } from "./flag-table.js";
import { loadCommand } from "./route.js";

export interface Completion {
  readonly word: string;
  readonly summary: string;
}

/**
 * What can stand in place of the last word: commands, flags, values of an enum. Empty where only the person knows.
 * @param words The words after the binary's name; the last one, perhaps empty, is being typed.
 */
export async function completions(program: ProgramFacts, words: readonly string[]): Promise<Completion[]> {
  const current = words.at(-1) ?? "";
  let node: CommandNode | undefined;
  let table = flagTable(program.globals);
  let operands = 0;
  const used = new Set<string>();
  for (let index = 0; index < words.length - 1; index++) {
    const word = words[index]!;
    if (word === "--") return [];
    if (word.startsWith("-")) {
      const entry = entryOf(word, table);
      if (entry !== undefined) used.add(entry.key);
      if (entry === undefined || entry.flag.type === "boolean" || word.includes("=")) continue;
      if (index === words.length - 2) return choicesOf(entry.flag, current, "");
      index++;
    } else if (node !== undefined && !isGroup(node)) {
      operands++;
    } else if (node !== undefined || word !== "help") {
      node = await childOf(program, node, word);
      if (node === undefined) return [];
      if (!isGroup(node)) table = flagTable(program.globals, node);
    }
  }
  if (node !== undefined && !isGroup(node)) {
    if (node.rest !== undefined && operands > Object.keys(node.positionals ?? {}).length) return [];
    if (!current.startsWith("-")) return operandsOf(node, operands, current);
  }
  if (!current.startsWith("-"))
    return namesOf(node === undefined ? program.commands : (node as { commands: readonly CommandNode[] }).commands, current);
  const cut = current.indexOf("=");
  if (cut < 0) return flagsOf(table, used, current);
  const entry = entryOf(current, table);
  return entry === undefined ? [] : choicesOf(entry.flag, current.slice(cut + 1), current.slice(0, cut + 1));
}

// --- internal ---

type Entry = NonNullable<ReturnType<FlagTable["long"]["get"]>>;

function entryOf(word: string, table: FlagTable): Entry | undefined {
  const name = word.split("=")[0]!;
  return name.startsWith("--") ? table.long.get(name.slice(2)) : table.short.get(name.slice(1));
}

async function childOf(program: ProgramFacts, parent: CommandNode | undefined, word: string): Promise<CommandNode | undefined> {
  try {
    if (parent === undefined) return await loadCommand(findCommand(word, program.commands, ""), program.binary);
    return isGroup(parent) ? findCommand(word, parent.commands, "") : undefined;
  } catch (error) {
    if (isMezError(error, "INVALID_ARGUMENT")) return undefined;
    throw error;
  }
}

interface Named {
  readonly name: string;
  readonly summary: string;
  readonly aliases?: readonly string[];
  readonly hidden?: boolean;
}

function namesOf(commands: readonly Named[], prefix: string): Completion[] {
  return commands
    .filter(({ hidden }) => hidden !== true)
    .flatMap((command) => {
      const found = [command.name, ...otherNames(command, commands)].find((name) => name.startsWith(prefix));
      return found === undefined ? [] : [{ word: found, summary: command.summary }];
    });
}

function operandsOf(command: Command, index: number, prefix: string): Completion[] {
  const positional = Object.values(command.positionals ?? {})[index];
  const choices = positional?.choices ?? [];
  return choices.filter((choice) => choice.startsWith(prefix)).map((word) => ({ word, summary: "" }));
}

function choicesOf(flag: Entry["flag"], prefix: string, before: string): Completion[] {
  const choices = flag.type === "enum" ? flag.choices : flag.type === "boolean" ? ["true", "false"] : [];
  return choices.filter((choice) => choice.startsWith(prefix)).map((choice) => ({ word: before + choice, summary: "" }));
}

function flagsOf(table: FlagTable, used: ReadonlySet<string>, prefix: string): Completion[] {
  return [...table.long]
    .filter(
      ([name, { key, flag, role }]) =>
        `--${name}`.startsWith(prefix) && flag.hidden !== true && role !== "positional" && (flag.repeatable || !used.has(key)),
    )
    .map(([name, { flag }]) => ({ word: `--${name}`, summary: flag.description }));
}
