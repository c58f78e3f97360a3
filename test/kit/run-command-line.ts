import { PassThrough, Readable } from "node:stream";
import { pluginCommands } from "../../cli/plugin-commands.js";
import { serverCommands } from "../../cli/server-commands.js";
import { MEZCTL_FLAGS } from "../../core/cli/global-flags.js";
import { runProgram } from "../../core/cli/program.js";
import { RELEASE } from "../../core/cli/release.js";
import type { CatalogEntry } from "../../core/host/catalog.js";
import type { RpcConnection } from "../../core/plugin/rpc.js";

/** What a command printed, and its exit code. */
export interface CommandRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandLine {
  readonly entries: readonly CatalogEntry[];
  readonly connect: () => Promise<RpcConnection>;
  readonly args: readonly string[];
  readonly stdin: string;
  readonly homeDirectory: string;
}

/** Runs `mezctl` in this process, with streams that are no terminal and without variables. */
export async function runCommandLine({ entries, connect, args, stdin, homeDirectory }: CommandLine): Promise<CommandRun> {
  const printed = { stdout: "", stderr: "" };
  const stream = (name: keyof typeof printed) =>
    new PassThrough().on("data", (chunk: Buffer) => {
      printed[name] += chunk.toString();
    });
  const code = await runProgram(
    {
      binary: "mezctl",
      version: RELEASE,
      summary: "Administer a Mezite cluster",
      globals: MEZCTL_FLAGS,
      commands: pluginCommands("mezctl", entries),
      serverCommands,
      connect: async () => connect(),
    },
    {
      args,
      env: {},
      stdin: Readable.from(stdin === "" ? [] : [Buffer.from(stdin)]),
      stdout: stream("stdout"),
      stderr: stream("stderr"),
      homeDirectory,
      now: () => new Date(),
      onStop: () => () => {},
    },
  );
  return { code, ...printed };
}
