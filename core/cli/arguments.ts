import { type ParseArgsOptionsConfig, parseArgs } from "node:util";
import { MezError } from "../errors/error.js";
import { nearest } from "../errors/suggestion.js";
import type { Command, Flags, Input, InputValue } from "../plugin/commands.js";
import { type FlagEntry, type FlagTable, kebabCase, variableOf } from "./flag-table.js";
import { absentValue, checkText, readFlag, type WrittenValue } from "./flag-value.js";

/** What has been read so far: flags before the command's name and after it end in one place, so repeats are seen. */
export class GivenArguments {
  readonly values = new Map<string, WrittenValue[]>();
  readonly rest: string[] = [];
  /** Secrets that come from standard input: at most one. */
  fromStdin: string | undefined;
  helpWanted = false;
  versionWanted = false;
}

/**
 * Reads flags up to the first operand, which is the name of a command.
 * @returns The operand's index, or `args.length` when there is none.
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function readUntilOperand(args: readonly string[], table: FlagTable, given: GivenArguments): number {
  for (const token of tokensOf(args, table)) {
    if (token.kind === "option") recordFlag(token, table, given);
    else return token.kind === "positional" ? token.index : Math.min(token.index + 1, args.length);
  }
  return args.length;
}

/** Takes the flags of `table` from a command line whose other flags are not known yet, and passes over the rest. */
export function readKnownFlags(args: readonly string[], table: FlagTable, given: GivenArguments): void {
  for (const token of tokensOf(args, table)) {
    if (token.kind === "option-terminator") return;
    if (token.kind !== "option" || !(token.rawName.startsWith("--") ? table.long : table.short).has(shortOrLong(token.rawName)))
      continue;
    recordFlag(token, table, given);
  }
}

/**
 * Reads all arguments of one command. With `rest`, reading ends at the first word after the positionals, so that
 * `msh ssh node1 ls -h` does not ask for our help.
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function readCommandArguments(args: readonly string[], command: Command, table: FlagTable, given: GivenArguments): void {
  const names = Object.keys(command.positionals ?? {});
  const takeOperand = (text: string): boolean => {
    const name = names.find((candidate) => !given.values.has(candidate));
    if (name === undefined) return false;
    record(name, { text, origin: `argument <${kebabCase(name)}>` }, given);
    return true;
  };
  for (const token of tokensOf(args, table)) {
    if (token.kind === "option") {
      recordFlag(token, table, given);
    } else if (token.kind === "positional") {
      if (takeOperand(token.value)) continue;
      return takeRest(args.slice(token.index), command, given);
    } else {
      const operands = args.slice(token.index + 1);
      while (operands.length > 0 && takeOperand(operands[0]!)) operands.shift();
      return takeRest(operands, command, given);
    }
  }
}

/**
 * The input of a command, as far as arguments and variables give it. `missingSecrets` are still to be asked for, and
 * the one that comes from standard input to be read.
 */
export interface ReadInput {
  readonly input: Input;
  readonly globals: Input;
  readonly missingSecrets: readonly string[];
}

/**
 * Turns what was given into typed values: argument, else variable, else default.
 * @param path Names of program and command: `mezctl nodes add`.
 * @throws {MezError} `INVALID_ARGUMENT`, `INVALID_DURATION`
 */
export function readInput(
  given: GivenArguments,
  globals: Flags,
  command: Command,
  path: string,
  env: Readonly<Record<string, string | undefined>>,
): ReadInput {
  const missingSecrets: string[] = [];
  const readFlags = (flags: Flags): [string, InputValue][] =>
    Object.entries(flags).map(([key, flag]) => {
      if (given.fromStdin === key) return [key, undefined];
      const written = given.values.get(key) ?? fromVariable(variableOf(key, flag, path), flag.repeatable === true, env);
      if (written.length > 0) return [key, readFlag(flag, written)];
      if (flag.type === "secret" && flag.required) missingSecrets.push(key);
      else if (flag.required) throw missing(`--${kebabCase(key)}`, flag.description);
      return [key, absentValue(flag)];
    });
  const readGlobals = Object.fromEntries(readFlags(globals));
  const input = new Map<string, InputValue>();
  for (const [name, positional] of Object.entries(command.positionals ?? {})) {
    const written = given.values.get(name);
    if (written === undefined && positional.required !== false) throw missing(`<${kebabCase(name)}>`, positional.description);
    const { description, choices } = positional;
    input.set(
      name,
      written &&
        readFlag(choices === undefined ? { type: "string", description } : { type: "enum", choices, description }, written),
    );
  }
  for (const [key, value] of readFlags(command.flags ?? {})) input.set(key, value);
  if (command.rest !== undefined) {
    if (command.rest.required && given.rest.length === 0) throw missing(`<${command.rest.name}>`, command.rest.description);
    input.set("rest", given.rest);
  }
  return { input: Object.fromEntries(input), globals: readGlobals, missingSecrets };
}

// --- internal ---

type Token = ReturnType<typeof tokensOf>[number];
type OptionToken = Extract<Token, { kind: "option" }>;

// `strict` stays off because it neither notices a repeated flag nor knows where `rest` begins; every check that it
// makes is made here, on its tokens.
function tokensOf(args: readonly string[], table: FlagTable) {
  const options: ParseArgsOptionsConfig = {};
  const letters = new Map([...table.short].map(([letter, entry]) => [kebabCase(entry.key), letter]));
  for (const [name, entry] of table.long) {
    const letter = letters.get(name);
    options[name] = {
      type: entry.flag.type === "boolean" ? "boolean" : "string",
      ...(letter === undefined ? {} : { short: letter }),
    };
  }
  return parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true }).tokens;
}

function shortOrLong(rawName: string): string {
  return rawName.replace(/^--?/, "");
}

function recordFlag(token: OptionToken, table: FlagTable, given: GivenArguments): void {
  const { entry, negated } = findFlag(token, table);
  const { spelling, key, role } = entry;
  const value = token.value as string | undefined;
  if (entry.flag.type !== "boolean") {
    // `--user --ttl 1h` lost its value; who means a value with a dash writes `--user=-x`.
    const lost = value === undefined || (!token.inlineValue && value.startsWith("-") && value !== "-");
    if (lost) throw new MezError("INVALID_ARGUMENT", `flag ${spelling} needs a value; write ${spelling}=<value>`);
    return record(key, { text: value, origin: spelling }, given, entry);
  }
  if (negated && value !== undefined) throw new MezError("INVALID_ARGUMENT", `flag ${token.rawName} takes no value`);
  if (role === "help") given.helpWanted = true;
  else if (role === "version") given.versionWanted = true;
  else if (role === "from-stdin") recordStdin(key, spelling, given);
  else record(key, { text: value ?? String(!negated), origin: spelling }, given, entry);
}

function findFlag({ name, rawName }: OptionToken, table: FlagTable): { entry: FlagEntry; negated: boolean } {
  if (!rawName.startsWith("--")) {
    const entry = table.short.get(rawName.slice(1));
    if (entry === undefined) throw new MezError("INVALID_ARGUMENT", `unknown flag ${shorten(rawName)}`);
    return { entry, negated: false };
  }
  const entry = table.long.get(name);
  if (entry !== undefined) return { entry, negated: false };
  const positive = name.startsWith("no-") ? table.long.get(name.slice(3)) : undefined;
  if (positive?.flag.type === "boolean" && (positive.role === "flag" || positive.role === "global"))
    return { entry: positive, negated: true };
  const visible = [...table.long].filter(([, candidate]) => candidate.flag.hidden !== true).map(([candidate]) => candidate);
  const near = nearest(name, visible);
  throw new MezError(
    "INVALID_ARGUMENT",
    `unknown flag ${shorten(rawName)}${near === undefined ? "" : `; did you mean --${near}?`}`,
  );
}

function record(key: string, value: WrittenValue, given: GivenArguments, entry?: FlagEntry): void {
  checkText(value);
  const earlier = given.values.get(key);
  if (earlier === undefined) {
    if (given.fromStdin === key) throw bothWays(value.origin, key);
    given.values.set(key, [value]);
  } else if (entry?.flag.repeatable) {
    earlier.push(value);
  } else {
    const first = earlier[0]!.origin;
    const what = first === value.origin ? `flag ${first} is given twice` : `${value.origin} repeats what ${first} already says`;
    throw new MezError("INVALID_ARGUMENT", `${what}; give it once`);
  }
}

function recordStdin(key: string, spelling: string, given: GivenArguments): void {
  if (given.fromStdin === key) throw new MezError("INVALID_ARGUMENT", `flag ${spelling} is given twice; give it once`);
  if (given.fromStdin !== undefined) {
    throw new MezError(
      "INVALID_ARGUMENT",
      `flags --${kebabCase(given.fromStdin)}-stdin and ${spelling} cannot both read standard input`,
    );
  }
  if (given.values.has(key)) throw bothWays(`--${kebabCase(key)}`, key);
  given.fromStdin = key;
}

function takeRest(words: readonly string[], command: Command, given: GivenArguments): void {
  if (words.length === 0) return;
  if (command.rest === undefined) {
    const count = Object.keys(command.positionals ?? {}).length;
    const takes = count === 0 ? "no arguments" : count === 1 ? "one argument" : `${count} arguments`;
    throw new MezError("INVALID_ARGUMENT", `unexpected argument "${shorten(words[0]!)}"; ${command.name} takes ${takes}`);
  }
  for (const text of words) checkText({ text, origin: `argument <${command.rest.name}>` });
  given.rest.push(...words);
}

/** An empty variable counts as not set. */
function fromVariable(name: string, several: boolean, env: Readonly<Record<string, string | undefined>>): WrittenValue[] {
  const text = env[name];
  if (text === undefined || text === "") return [];
  return (several ? text.split(",") : [text]).map((part) => ({ text: part, origin: name }));
}

function missing(what: string, description: string): MezError {
  return new MezError("INVALID_ARGUMENT", `${what} is missing: ${description[0]!.toLowerCase()}${description.slice(1)}`);
}

function bothWays(origin: string, key: string): MezError {
  return new MezError("INVALID_ARGUMENT", `flags ${origin} and --${kebabCase(key)}-stdin exclude each other`);
}

function shorten(word: string): string {
  return word.length > 60 ? `${word.slice(0, 60)}…` : word;
}
