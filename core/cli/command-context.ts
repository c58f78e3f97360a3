import { MezError } from "../errors/error.js";
import type { Binary, CommandContext, Input } from "../plugin/commands.js";
import type { LoginAnswer } from "../plugin/login-answer.js";
import type { RpcConnection } from "../plugin/rpc.js";
import { Output, type OutputFormat } from "./output.js";
import type { ProgramIo } from "./program-io.js";
import { promptSecret } from "./prompt.js";

/** Loads the client side of a login step; `null` for one that nothing in this build knows. */
export type LoginAnswers = (step: string) => Promise<LoginAnswer | null>;

/** The connection of a run. */
export interface RunConnection extends RpcConnection {
  /** What goes on beside the command's own calls, and is waited for before closing; never rejects. */
  readonly meanwhile?: Promise<void>;
}

/** Opens the connection that a command's `rpc` uses. Called at most once for a run. */
export type Connect = (context: CommandContext) => Promise<RunConnection>;

/** Fetches new certificates for the login that the program keeps. */
export type RenewLogin = (context: CommandContext) => Promise<void>;

export interface ContextParts {
  readonly binary: Binary;
  readonly version: string;
  readonly io: ProgramIo;
  readonly globals: Input;
  readonly signal: AbortSignal;
  readonly connect?: Connect | undefined;
  readonly loginAnswers?: LoginAnswers | undefined;
  readonly renewLogin?: RenewLogin | undefined;
}

/** Makes the context of one run, and the function that gives back what the run opened. */
export function openContext({ binary, version, io, globals, signal, connect, loginAnswers, renewLogin }: ContextParts): {
  context: CommandContext;
  close: () => Promise<void>;
} {
  let connection: Promise<RunConnection> | undefined;
  const context: CommandContext = {
    binary,
    version,
    globals,
    connection() {
      if (connect === undefined) throw new MezError("INTERNAL", `${binary} connects to no cluster`);
      connection ??= connect(context);
      return connection;
    },
    rpc: async (definition) => (await context.connection()).client(definition),
    output: new Output(formatOf(globals), io),
    env: io.env,
    get stdin() {
      return io.stdin;
    },
    stdout: io.stdout,
    stderr: io.stderr,
    isTerminal: io.stdout.isTTY === true,
    promptSecret: (text) => promptSecret(text, { stdin: io.stdin, stderr: io.stderr, signal }),
    async loginAnswer(step) {
      const answer = (await loginAnswers?.(step)) ?? null;
      if (answer !== null) return answer;
      throw new MezError("PLUGIN_UNKNOWN", `the login needs "${step}", which ${binary} ${version} does not know; update it`);
    },
    async renewLogin() {
      if (renewLogin === undefined) throw new MezError("INTERNAL", `${binary} keeps no login`);
      await renewLogin(context);
    },
    signal,
    homeDirectory: io.homeDirectory,
    now: () => io.now(),
  };
  const close = async (): Promise<void> => {
    if (connection === undefined) return;
    // A connection that failed to open has already been told by the call that wanted it.
    await connection.then(
      async (opened) => {
        await opened.meanwhile;
        opened.close();
      },
      () => undefined,
    );
  };
  return { context, close };
}

// --- internal ---

function formatOf(globals: Input): OutputFormat {
  const { format } = globals;
  return format === "json" || format === "yaml" ? format : "table";
}
