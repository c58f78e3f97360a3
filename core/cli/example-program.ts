import { PassThrough, Readable } from "node:stream";
import { MezError } from "../errors/error.js";
import { type Column, command, defineCommands, group, type Input } from "../plugin/commands.js";
import { MEZCTL_FLAGS } from "./global-flags.js";
import { type Program, runProgram } from "./program.js";
import type { ProgramIo, StopSignal } from "./program-io.js";

/** What a command of the example program was called with. */
export interface ExampleCall {
  readonly command: string;
  readonly input: object;
  readonly globals: Input;
}

/** A program with a command of every kind, for the tests of this folder. `calls` and `loads` tell what happened. */
export function exampleProgram(): Program & { readonly calls: ExampleCall[]; readonly loads: string[] } {
  const calls: ExampleCall[] = [];
  const loads: string[] = [];
  const users = group({
    name: "users",
    summary: "Create, list and delete users",
    commands: [
      command({
        name: "create",
        summary: "Create a user",
        examples: ["mezctl users create alice --roles=developer,viewer"],
        positionals: { username: { description: "Name of the user" } },
        flags: {
          roles: { type: "list", description: "Roles" },
          password: { type: "secret", description: "First password", required: true, confirm: true },
        },
        async run({ globals }, input) {
          calls.push({ command: "users create", input: { ...input, password: input.password.expose() }, globals });
        },
      }),
      command({
        name: "list",
        summary: "List users",
        async run({ output }) {
          await output.rows([{ name: "al\u001b]0;evil\u0007ice" }], NAME_COLUMN);
        },
      }),
      command({
        name: "delete",
        summary: "Delete a user",
        positionals: { username: { description: "Name of the user" } },
        async run({ globals }, input) {
          calls.push({ command: "users delete", input, globals });
        },
      }),
    ],
  });
  const locks = group({
    name: "locks",
    summary: "Lock a user, role or agent at once",
    commands: [
      command({
        name: "create",
        summary: "Create a lock",
        flags: {
          user: { type: "string", description: "User to lock" },
          type: { type: "enum", choices: ["user", "role", "agent"], description: "Kind of target" },
          ttl: { type: "duration", description: "How long it holds", maxSeconds: 86_400 },
          labels: { type: "labels", description: "Labels" },
          port: { type: "integer", description: "Port", min: 1, max: 65_535, default: 22 },
          agentHostname: { type: "string", repeatable: true, description: "Serving agent" },
          verify: { type: "boolean", description: "Check it first" },
        },
        async run({ globals }, input) {
          calls.push({ command: "locks create", input, globals });
        },
      }),
    ],
  });
  const ssh = command({
    name: "ssh",
    summary: "Open a session",
    positionals: { destination: { description: "Login and node" } },
    flags: { login: { type: "string", short: "l", description: "Login name" } },
    rest: { name: "command", description: "Remote command" },
    async run({ globals }, input) {
      calls.push({ command: "ssh", input, globals });
      return input.rest[0] === "exit" ? Number(input.rest[1]) : 0;
    },
  });
  const fail = command({
    name: "fail",
    summary: "Fail in a chosen way",
    positionals: { how: { description: "Way to fail", choices: ["denied", "bug", "file", "wait", "stubborn"] } },
    async run({ signal }, { how }) {
      if (how === "denied")
        throw new MezError("ACCESS_DENIED", "node \u001b[31mweb-01 is not\nallowed", { detail: "deny rule 3" });
      if (how === "file") throw Object.assign(new Error("ENOENT: no such file"), { code: "ENOENT", syscall: "open" });
      if (how === "bug") throw new TypeError("cannot read what is not there");
      if (how === "stubborn") return new Promise<never>(() => {});
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    },
  });
  const summaries = [users, locks, ssh, fail].map((node) => ({
    name: node.name,
    summary: node.summary,
    load: async () => {
      loads.push(node.name);
      return defineCommands({ mezctl: [node] });
    },
  }));
  return {
    binary: "mezctl",
    version: "1.2.3",
    summary: "Administer a cluster",
    commands: summaries,
    globals: MEZCTL_FLAGS,
    calls,
    loads,
  };
}

export interface ExampleRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ExampleWorld {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string | Buffer;
  /** Signals that arrive one after the other once the command runs. */
  readonly signals?: readonly StopSignal[];
}

/** Runs a program on words, with streams that are no terminal, and returns what it printed. */
export async function runExample(
  program: Program,
  args: readonly string[],
  { env = {}, stdin = "", signals = [] }: ExampleWorld = {},
): Promise<ExampleRun> {
  const printed = { stdout: "", stderr: "" };
  const stream = (name: "stdout" | "stderr") =>
    new PassThrough().on("data", (chunk: Buffer) => (printed[name] += chunk.toString()));
  const io: ProgramIo = {
    args,
    env,
    stdin: Readable.from(stdin.length === 0 ? [] : [Buffer.from(stdin)]),
    stdout: stream("stdout"),
    stderr: stream("stderr"),
    homeDirectory: "/home/example",
    now: () => new Date(0),
    onStop(listener) {
      const pending = signals.map((name, index) => setTimeout(listener, 20 * (index + 1), name));
      return () => pending.forEach(clearTimeout);
    },
  };
  const code = await runProgram(program, io);
  return { code, ...printed };
}

// --- internal ---

const NAME_COLUMN: readonly Column<{ name: string }>[] = [{ key: "userName", header: "Name", value: ({ name }) => name }];
