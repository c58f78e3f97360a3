import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { access } from "node:fs/promises";
import type { Socket } from "node:net";
import { lendingPipe, lendingSocket } from "../../core/flow/lending-socket.js";
import { openWidePipe, type WidePipe } from "../../core/flow/wide-pipe.js";
import type { OsAccount } from "./os-account.js";
import { type SessionCommand, withName } from "./session-command.js";
import { coveringStdio, type Terminal } from "./terminal.js";
import { rightsPrefix, setsid } from "./user-rights.js";

export interface ProcessPlace {
  readonly account: OsAccount;
  readonly environment: Record<string, string>;
  /** Standard streams are pipes without one. */
  readonly terminal: Terminal | null;
}

export interface ProgramEnd {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A program that runs with the rights of an account, at the head of a session and process group of its own. */
export class UserProcess {
  /** What the program writes, unless it has a terminal. */
  readonly stdout: Socket | null;
  /** Settles when the program has ended and all that it wrote is read. */
  readonly ended: Promise<ProgramEnd>;

  private constructor(
    readonly child: ChildProcess,
    output: WidePipe | null,
  ) {
    const closed = new Promise<ProgramEnd>((resolve) => {
      child.once("close", (status: number | null, signal: NodeJS.Signals | null) => resolve({ status, signal }));
    });
    if (output !== null) this.stdout = lendingPipe(output.readEnd);
    else this.stdout = child.stdout === null ? null : lendingSocket(child.stdout as Socket);
    const read = this.stdout === null || this.stdout.destroyed ? null : once(this.stdout, "close");
    this.ended = closed.then(async (end) => {
      await read;
      return end;
    });
  }

  static async start(command: SessionCommand, { account, environment, terminal }: ProcessPlace): Promise<UserProcess> {
    const cwd = await homeOf(account);
    const rights = rightsPrefix(account);
    const controlling = terminal === null ? [] : [setsid(), "--ctty"];
    const isDirect = rights.length + controlling.length === 0;
    const [file = command.file, ...args] = isDirect
      ? [command.file, ...command.args]
      : [...controlling, ...rights, ...withName(command)];
    const output = terminal === null ? openWidePipe() : null;
    const streams =
      terminal === null
        ? (["pipe", output?.writeEnd ?? "pipe", "pipe"] as const)
        : ([terminal.slave, terminal.slave, terminal.slave] as const);
    try {
      const child = spawn(file, args, {
        cwd,
        env: environment,
        stdio: coveringStdio<"pipe" | number>(streams, nullFd()),
        detached: terminal === null, // setsid does it otherwise
        ...(isDirect ? { argv0: command.argv0 } : {}),
      });
      return new UserProcess(child, output);
    } catch (error) {
      // What the client sent does not fit into a program: too much of it, or a NUL byte.
      if (output !== null) closeSync(output.readEnd);
      throw error;
    } finally {
      terminal?.closeSlave();
      if (output !== null) closeSync(output.writeEnd);
    }
  }

  get isRunning(): boolean {
    return this.child.pid !== undefined && this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Sends a signal to the whole process group. @param name Without `SIG`; an unknown one is ignored. */
  signal(name: string): void {
    const { pid } = this.child;
    if (pid === undefined || !this.isRunning || !SIGNALS.has(name)) return;
    try {
      process.kill(-pid, `SIG${name}`);
    } catch {
      this.child.kill(`SIG${name}` as NodeJS.Signals); // it has not become the head of its group yet
    }
  }
}

// --- internal ---

const SIGNALS = new Set(["ABRT", "ALRM", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "TERM", "USR1", "USR2"]); // RFC 4254, 6.10

let openNull: number | null = null;

function nullFd(): number {
  openNull ??= openSync("/dev/null", "r+");
  return openNull;
}

async function homeOf({ home }: OsAccount): Promise<string> {
  return access(home).then(
    () => home,
    () => "/",
  );
}
