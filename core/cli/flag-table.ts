import { MezError } from "../errors/error.js";
import type { Command, Flag, Flags } from "../plugin/commands.js";

/** One spelling on the command line and what it stands for. */
export interface FlagEntry {
  /** `--host-key-file` */
  readonly spelling: string;
  /** Key of the value: `hostKeyFile`. */
  readonly key: string;
  readonly flag: Flag;
  readonly role: "global" | "flag" | "positional" | "from-stdin" | "help" | "version";
}

/** All flags that are allowed at one place of the command line, by long name and by letter. */
export interface FlagTable {
  readonly long: ReadonlyMap<string, FlagEntry>;
  readonly short: ReadonlyMap<string, FlagEntry>;
}

/** `hostKeyFile` is `host-key-file`. */
export function kebabCase(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/**
 * The variable that fills a flag: `caFile` is `MEZITE_CA_FILE`. A flag with `env: false` has one of its command alone:
 * `labels` of `mezctl nodes add` is `MEZITE_NODES_ADD_LABELS`.
 */
export function variableOf(key: string, flag: Flag, commandPath: string): string {
  return flag.env === false ? `${variablesOf(commandPath)}_${inCapitals(key)}` : (flag.env ?? `MEZITE_${inCapitals(key)}`);
}

/** What the variables of one command alone begin with: `mezctl nodes add` is `MEZITE_NODES_ADD`. */
export function variablesOf(commandPath: string): string {
  return ["MEZITE", ...commandPath.split(" ").slice(1).map(inCapitals)].join("_");
}

/** Whether `--name-stdin` exists for a flag. */
export function readsFromStdin(flag: Flag): boolean {
  return flag.type === "secret" && flag.fromStdin !== false;
}

/**
 * Lists the flags allowed for `command`, or, without one, those allowed before the command's name.
 * @throws {MezError} `INTERNAL` when two flags want one name: a mistake in the definition
 */
export function flagTable(globals: Flags, command?: Command): FlagTable {
  const long = new Map<string, FlagEntry>();
  const short = new Map<string, FlagEntry>();
  const add = (key: string, flag: Flag, role: FlagEntry["role"]): void => {
    for (const name of [kebabCase(key), ...(flag.aliases ?? [])]) claim(long, name, { spelling: `--${name}`, key, flag, role });
    if (flag.short !== undefined) claim(short, flag.short, { spelling: `-${flag.short}`, key, flag, role });
    if (readsFromStdin(flag)) {
      const name = `${kebabCase(key)}-stdin`;
      claim(long, name, { spelling: `--${name}`, key, flag: STDIN_SWITCH, role: "from-stdin" });
    }
  };
  add("help", { type: "boolean", short: "h", description: "Show this help" }, "help");
  if (command === undefined) add("version", { type: "boolean", description: "Show the version" }, "version");
  for (const [key, flag] of Object.entries(globals)) add(key, flag, "global");
  for (const [key, flag] of Object.entries(command?.flags ?? {})) add(key, flag, "flag");
  for (const [key, { description, aliases, choices }] of Object.entries(command?.positionals ?? {})) {
    const shape: Flag =
      choices === undefined ? { type: "string", description, aliases } : { type: "enum", choices, description, aliases };
    add(key, { ...shape, env: false }, "positional");
  }
  return { long, short };
}

// --- internal ---

const STDIN_SWITCH: Flag = { type: "boolean", description: "Read it from standard input", env: false };

function inCapitals(name: string): string {
  return kebabCase(name).replaceAll("-", "_").toUpperCase();
}

function claim(names: Map<string, FlagEntry>, name: string, entry: FlagEntry): void {
  if (names.has(name)) throw new MezError("INTERNAL", `flag ${entry.spelling} is defined twice`);
  names.set(name, entry);
}
