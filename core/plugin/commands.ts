import type { LoginAnswer } from "./login-answer.js";
import type { RpcClient, RpcConnection, RpcDefinition } from "./rpc.js";
import type { Secret } from "./secret.js";

/** The programs that a plugin can add commands to. */
export type Binary = "mezctl" | "msh" | "mezd";

/** What a plugin's `commands.ts` exports as default: for each binary, the commands at its top level. */
export type Commands = { readonly [B in Binary]?: readonly CommandNode[] };

export type CommandNode = Command | CommandGroup;

interface NodeBase {
  /** Lower case with dashes. `ls` also answers to `list` and `rm` to `delete`, and the other way round. */
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  readonly description?: string;
  readonly aliases?: readonly string[];
  /** Works, but is not listed. */
  readonly hidden?: boolean;
}

/** A word with commands under it: `mezctl locks …`. */
export interface CommandGroup extends NodeBase {
  readonly commands: readonly CommandNode[];
}

/** A command as the program sees it. Written with `command()`, which types `input` from the definition. */
export interface Command extends NodeBase, CommandShape<Flags, Positionals, Rest | undefined> {
  run(context: CommandContext, input: Input): Promise<ExitCode>;
}

/** `undefined` is success; a number is the exit code itself, e.g. that of a remote command. */
export type ExitCode = number | undefined | void;

interface CommandShape<F extends Flags, P extends Positionals, R extends Rest | undefined> {
  /** Lines of the help text, e.g. `mezctl locks create --user=alice --ttl=1h`. */
  readonly examples?: readonly string[];
  /** Operands in their order. Each also works as `--name`. Required unless `required: false`; no variable fills them. */
  readonly positionals?: P;
  /** Keys in camel case: `hostKeyFile` is `--host-key-file`, `MEZITE_HOST_KEY_FILE` and `input.hostKeyFile`. */
  readonly flags?: F;
  /** The words after the positionals, taken as they are: reading of flags ends at the first of them, as in ssh. */
  readonly rest?: R;
}

interface FlagBase {
  readonly description: string;
  readonly required?: boolean;
  /** May be given several times; the value is then an array (labels are merged). */
  readonly repeatable?: boolean;
  /** One letter: `l` is `-l`. */
  readonly short?: string;
  /** Other long names, with dashes and without the leading `--`. */
  readonly aliases?: readonly string[];
  /** Variable that fills the flag in place of `MEZITE_<NAME>`; `false` for one of the command alone, `MEZITE_<COMMAND>_<NAME>`. */
  readonly env?: string | false;
  /** Shown in the help text: `--out=<file>`. */
  readonly valueName?: string;
  /** Lets `--flag=` through; otherwise an empty value is refused. */
  readonly allowEmpty?: boolean;
  readonly hidden?: boolean;
}

/** One flag. `duration` is written `1h30m` and read as seconds, `list` is `a,b`, `labels` is `k=v,k2=v2`. */
export type Flag = FlagBase &
  (
    | { readonly type: "string"; readonly default?: string }
    | { readonly type: "boolean"; readonly default?: boolean }
    | { readonly type: "duration"; readonly default?: string; readonly minSeconds?: number; readonly maxSeconds?: number }
    | { readonly type: "integer"; readonly default?: number; readonly min?: number; readonly max?: number }
    | { readonly type: "list" }
    | { readonly type: "labels" }
    | { readonly type: "enum"; readonly choices: readonly string[]; readonly default?: string }
    /** A password or token. `--name-stdin` reads it from standard input; a required one is asked for on a terminal. */
    | { readonly type: "secret"; readonly prompt?: string; readonly confirm?: boolean; readonly fromStdin?: false }
  );

export type Flags = Readonly<Record<string, Flag>>;

export interface Positional {
  readonly description: string;
  readonly required?: boolean;
  /** Other names under which it works as a flag. */
  readonly aliases?: readonly string[];
  readonly choices?: readonly string[];
}

export type Positionals = Readonly<Record<string, Positional>>;

export interface Rest {
  readonly name: string;
  readonly description: string;
  readonly required?: boolean;
}

export type InputValue =
  | string
  | number
  | boolean
  | Secret
  | readonly string[]
  | readonly number[]
  | Readonly<Record<string, string>>
  | undefined;

export type Input = Readonly<Record<string, InputValue>>;

/** What `run` receives for a definition: a key for each flag and positional, and `rest` when it is declared. */
export type InputOf<F extends Flags, P extends Positionals, R extends Rest | undefined> = {
  readonly [K in keyof F]: FlagValue<F[K]>;
} & {
  readonly [K in keyof P]: P[K] extends { required: false } ? PositionalValue<P[K]> | undefined : PositionalValue<P[K]>;
} & (R extends Rest ? { readonly rest: readonly string[] } : unknown);

/** Defines one command; `input` in `run` is typed from its flags and positionals. */
export function command<
  const F extends Flags = {},
  const P extends Positionals = {},
  const R extends Rest | undefined = undefined,
>(
  definition: NodeBase & CommandShape<F, P, R> & { run(context: CommandContext, input: InputOf<F, P, R>): Promise<ExitCode> },
): Command {
  return definition as unknown as Command;
}

/** Defines a word with commands under it. */
export function group(definition: CommandGroup): CommandGroup {
  return definition;
}

/** The default export of a plugin's `commands.ts`. Keep imports inside `run`: help and completion load this file too. */
export function defineCommands(commands: Commands): Commands {
  return commands;
}

/** What a command may use of the world. */
export interface CommandContext {
  readonly binary: Binary;
  readonly version: string;
  /** The flags of the binary itself, such as `authServer`. */
  readonly globals: Input;
  /**
   * A client of one service of the cluster. The first call connects.
   * @throws {MezError} `UNAVAILABLE`, `UNAUTHENTICATED`
   */
  rpc<Definition extends RpcDefinition>(definition: Definition): Promise<RpcClient<Definition>>;
  /** The connection behind `rpc`, for what needs more than a client. Closed when the command ends. */
  connection(): Promise<RpcConnection>;
  readonly output: CommandOutput;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: InputStream;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  /** Whether standard output is a terminal. */
  readonly isTerminal: boolean;
  /**
   * Asks for a password without showing it.
   * @throws {MezError} `INVALID_ARGUMENT` when nobody sits at a terminal
   */
  promptSecret(text: string): Promise<Secret>;
  /**
   * The client side of a login step.
   * @throws {MezError} `PLUGIN_UNKNOWN` for a step that this release does not know
   */
  loginAnswer(step: string): Promise<LoginAnswer>;
  /**
   * Fetches new certificates for the present login, with the roles of now. `msh` only.
   * @throws {MezError} `UNAUTHENTICATED` when the login has ended
   */
  renewLogin(): Promise<void>;
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
  readonly homeDirectory: string;
  now(): Date;
}

export type InputStream = NodeJS.ReadableStream & { readonly isTTY?: boolean; setRawMode?(raw: boolean): unknown };
export type OutputStream = NodeJS.WritableStream & {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
};

/** Prints results in the format that `--format` asks for. */
export interface CommandOutput {
  readonly format: "table" | "json" | "yaml";
  /** A list: a table, or an array of objects. */
  rows<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): Promise<void>;
  /** One thing: a line for each column, or one object. */
  record<Row>(row: Row, columns: readonly Column<Row>[]): Promise<void>;
  /** A remark for people, on standard error, so that standard output stays data. */
  note(text: string): void;
}

export type CellValue =
  | string
  | number
  | boolean
  | Date
  | readonly string[]
  | Readonly<Record<string, string>>
  | null
  | undefined;

export interface Column<Row> {
  /** Camel case; becomes the snake case key of JSON and YAML. */
  readonly key: string;
  readonly header: string;
  value(row: Row): CellValue;
  /** What JSON and YAML show, when it is not `value`. */
  json?(row: Row): unknown;
  readonly align?: "left" | "right";
  /** May be cut with `…` when the table is wider than the terminal. */
  readonly shrink?: boolean;
}

// --- internal ---

interface ScalarOf {
  string: string;
  boolean: boolean;
  duration: number;
  integer: number;
  list: readonly string[];
  labels: Readonly<Record<string, string>>;
  enum: string;
  secret: Secret;
}

type Single<F extends Flag> = F extends { type: "enum"; choices: readonly (infer C)[] } ? C : ScalarOf[F["type"]];
type Whole<F extends Flag> = F extends { type: "list" | "labels" }
  ? Single<F>
  : F extends { repeatable: true }
    ? readonly Single<F>[]
    : Single<F>;
type FlagValue<F extends Flag> = F extends { required: true } | { default: string | number | boolean } | { type: "boolean" }
  ? Whole<F>
  : Whole<F> | undefined;
type PositionalValue<P extends Positional> = P extends { choices: readonly (infer C)[] } ? C : string;
