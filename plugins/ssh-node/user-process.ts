import { type ChildProcess, spawn } from "node:child_process";
import { openSync } from "node:fs";
import { access } from "node:fs/promises";
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

/** A program that runs with the rights of an account, at the head of a session and process group of its own. */
export class UserProcess {
  private constructor(readonly child: ChildProcess) {}

  static async start(command: SessionCommand, { account, environment, terminal }: ProcessPlace): Promise<UserProcess> {
    const cwd = await homeOf(account);
    const rights = rightsPrefix(account);
    const controlling = terminal === null ? [] : [setsid(), "--ctty"];
    const isDirect = rights.length + controlling.length === 0;
    const [file = command.file, ...args] = isDirect
      ? [command.file, ...command.args]
      : [...controlling, ...rights, ...withName(command)];
    const streams =
      terminal === null ? (["pipe", "pipe", "pipe"] as const) : ([terminal.slave, terminal.slave, terminal.slave] as const);
    const child = spawn(file, args, {
      cwd,
      env: environment,
      stdio: coveringStdio<"pipe" | number>(streams, nullFd()),
      detached: terminal === null, // setsid does it otherwise
      ...(isDirect ? { argv0: command.argv0 } : {}),
    });
    terminal?.closeSlave();
    return new UserProcess(child);
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
