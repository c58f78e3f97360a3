import { homedir } from "node:os";
import type { InputStream, OutputStream } from "../plugin/commands.js";

/** What a program touches of its process, so that a test can stand in for it. */
export interface ProgramIo {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: InputStream;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly homeDirectory: string;
  now(): Date;
  /** Calls back for every SIGINT and SIGTERM until the returned function is called. */
  onStop(listener: (signal: StopSignal) => void): () => void;
}

export type StopSignal = "SIGINT" | "SIGTERM";

/** The real process. */
export function processIo(): ProgramIo {
  return {
    args: process.argv.slice(2),
    env: process.env,
    get stdin() {
      return process.stdin; // opening it has effects: only who reads it should
    },
    stdout: process.stdout,
    stderr: process.stderr,
    homeDirectory: homedir(),
    now: () => new Date(),
    onStop(listener) {
      process.on("SIGINT", listener).on("SIGTERM", listener);
      return () => void process.removeListener("SIGINT", listener).removeListener("SIGTERM", listener);
    },
  };
}
