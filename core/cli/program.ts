import { defineCommand, runCommand } from "citty";
import { isMezError, MezError } from "../errors/error.js";
import type { Binary, Command, Flags } from "../plugin/commands.js";
import { GivenArguments, readCommandArguments, readInput, readKnownFlags } from "./arguments.js";
import { builtinCommands } from "./builtin-commands.js";
import { type Connect, type LoginAnswers, openContext, type RenewLogin } from "./command-context.js";
import { isGroup } from "./command-tree.js";
import { EXIT_CODES } from "./exit-codes.js";
import { reportFailure } from "./failure.js";
import { flagTable } from "./flag-table.js";
import { flush, runInterruptibly } from "./interruption.js";
import { mayColour, write } from "./output.js";
import { type ProgramIo, processIo } from "./program-io.js";
import { type CommandSummary, findRoute, type MoreCommands, type ServerCommands } from "./route.js";
import { completeSecrets } from "./secret-input.js";
import { usageText } from "./usage.js";

/** A program of the house: mezctl, msh or mezd. */
export interface Program {
  readonly binary: Binary;
  readonly version: string;
  readonly summary: string;
  /** Known without importing any plugin, so that help starts fast. */
  readonly commands: readonly CommandSummary[];
  readonly globals: Flags;
  /** Absent when the program talks to no cluster. */
  readonly connect?: Connect;
  /** For programs that log people in. */
  readonly loginAnswers?: LoginAnswers;
  readonly renewLogin?: RenewLogin;
  /** For programs whose server may know more commands. */
  readonly serverCommands?: ServerCommands;
  /** How long a command may take to stop after Ctrl-C or SIGTERM; default 2. A daemon needs longer to drain. */
  readonly stopGraceSeconds?: number;
}

/** Runs a program on the real process and ends the process with its exit code. */
export async function main(program: Program): Promise<never> {
  const io = processIo();
  const end = (thrown: unknown): never => process.exit(reportFailure(program.binary, thrown, io));
  process.on("uncaughtException", (error: NodeJS.ErrnoException) => (error.code === "EPIPE" ? undefined : end(error)));
  process.on("unhandledRejection", end);
  const code = await runProgram(program, io);
  await flush(io);
  return process.exit(code);
}

/**
 * Runs one command line: finds the command, reads its arguments strictly, runs it, and turns whatever is thrown into
 * one line on standard error.
 * @returns The exit code, see `exit-codes.ts`.
 */
export async function runProgram(program: Program, io: ProgramIo): Promise<number> {
  try {
    return await runInterruptibly(io, program.stopGraceSeconds ?? 2, (signal) => dispatch(program, io, signal));
  } catch (error) {
    return reportFailure(program.binary, error, io);
  }
}

// --- internal ---

async function dispatch(program: Program, io: ProgramIo, signal: AbortSignal): Promise<number> {
  const known = (args: readonly string[]) => knownCommands(program, io, signal, args);
  const commands = [...program.commands, ...builtinCommands({ ...program, known })];
  const more = program.serverCommands && moreCommands(program, program.serverCommands, io, signal);
  const { path, node, given, args } = await findRoute(program.binary, commands, program.globals, io.args, more);
  const usage = { path: path.join(" "), globals: program.globals, colours: mayColour(io.stdout, io.env) };
  if (given.versionWanted) {
    await write(io.stdout, `${program.binary} ${program.version}\n`);
    return EXIT_CODES.ok;
  }
  if (node === undefined || isGroup(node)) {
    const listed = node ?? { summary: program.summary, commands: [...commands, ...(await known(io.args))] };
    const text = await usageText({ ...usage, node: listed });
    await write(given.helpWanted ? io.stdout : io.stderr, text);
    return given.helpWanted ? EXIT_CODES.ok : EXIT_CODES.usage;
  }
  const table = flagTable(program.globals, node);
  if (!given.helpWanted) withHint(usage.path, () => readCommandArguments(args, node, table, given));
  if (given.helpWanted) {
    await write(io.stdout, await usageText({ ...usage, node }));
    return EXIT_CODES.ok;
  }
  return runLeaf(program, node, usage.path, given, io, signal);
}

/** Asks the server for a command that nothing here has, over a connection of its own with the flags of this command line. */
function moreCommands(program: Program, { find }: ServerCommands, io: ProgramIo, signal: AbortSignal): MoreCommands {
  return async (word, args) => {
    const { context, close } = contextFor(program, io, signal, args);
    try {
      return await find(word, context);
    } finally {
      await close();
    }
  };
}

/** Commands that are not the program's own, as far as they are known; none where that cannot be found out. */
async function knownCommands(
  program: Program,
  io: ProgramIo,
  signal: AbortSignal,
  args: readonly string[],
): Promise<readonly CommandSummary[]> {
  try {
    const { context } = contextFor(program, io, signal, args);
    const known = (await program.serverCommands?.known(context)) ?? [];
    return known.filter(({ name }) => !program.commands.some((own) => own.name === name));
  } catch {
    // Whoever calls one of them is told why.
    return [];
  }
}

function contextFor(program: Program, io: ProgramIo, signal: AbortSignal, args: readonly string[]) {
  const given = new GivenArguments();
  readKnownFlags(args, flagTable(program.globals), given);
  const { globals } = readInput(given, program.globals, NO_COMMAND, program.binary, io.env);
  const { binary, version, connect } = program;
  return openContext({ binary, version, io, globals, signal, connect });
}

const NO_COMMAND: Command = { name: "", summary: "", async run() {} };

async function runLeaf(
  program: Program,
  command: Command,
  path: string,
  given: GivenArguments,
  io: ProgramIo,
  signal: AbortSignal,
): Promise<number> {
  const read = withHint(path, () => readInput(given, program.globals, command, path, io.env));
  const { binary, version, connect, loginAnswers, renewLogin } = program;
  const { globals } = read;
  const { context, close } = openContext({ binary, version, io, globals, signal, connect, loginAnswers, renewLogin });
  const input =
    given.fromStdin === undefined && read.missingSecrets.length === 0
      ? read.input
      : await completeSecrets(read, given, command, { stdin: io.stdin, stderr: io.stderr, signal });
  const definition = defineCommand({
    meta: { name: path, description: command.summary },
    run: () => command.run(context, input),
    cleanup: close,
  });
  const { result } = await runCommand(definition, { rawArgs: [] });
  return typeof result === "number" ? result : EXIT_CODES.ok;
}

/** Tells the person where the right words are, when the words were wrong. */
function withHint<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!isMezError(error) || error.kind !== "usage") throw error;
    throw new MezError(error.code, error.message, {
      cause: error.cause,
      fields: { hint: `"${path} --help" shows how it is written`, ...error.fields },
    });
  }
}
