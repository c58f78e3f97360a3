import { existsSync } from "node:fs";
import { isFileCopy, isPlainTransfer } from "../../core/ssh/file-transfer.js";
import type { OsAccount } from "./os-account.js";

/** What the client asked for. */
export interface AskedProgram {
  readonly kind: "shell" | "exec" | "subsystem";
  /** Command line or name of the subsystem; empty for a shell. */
  readonly command: string;
}

export interface CommandRules {
  readonly account: OsAccount;
  readonly forceCommand: string | null;
  readonly allowsFileCopy: boolean;
  readonly sftpServer: string | null;
}

/** What is run in its place. */
export interface SessionCommand {
  readonly file: string;
  readonly args: readonly string[];
  /** What the program is told its name is: `-bash` makes a login shell. */
  readonly argv0: string;
  /** For the recording and the audit log; `null` for a login shell. */
  readonly shown: string | null;
  /** Its output is the content of files: it is not recorded. */
  readonly isTransfer: boolean;
  /** What the client asked for, when something else is forced. */
  readonly original: string | null;
}

/** Decides what to run; `refused` is one line for the person. */
export function commandFor(asked: AskedProgram, rules: CommandRules): SessionCommand | { readonly refused: string } {
  const { account, forceCommand, allowsFileCopy, sftpServer } = rules;
  if (forceCommand !== null) {
    if (!allowsFileCopy && isFileCopy(forceCommand)) return { refused: NO_COPY };
    return { ...shellCommand(account, forceCommand), original: asked.command };
  }
  if (asked.kind === "shell") return loginShell(account);
  if (asked.kind === "subsystem") {
    if (asked.command !== "sftp") return { refused: `subsystem ${printable(asked.command)} is not served here` };
    if (!allowsFileCopy) return { refused: NO_COPY };
    if (sftpServer === null) return { refused: "this node has no sftp-server; install OpenSSH's or set node.sftp_server" };
    return { file: sftpServer, args: [], argv0: sftpServer, shown: "sftp", isTransfer: true, original: null };
  }
  if (asked.command.includes("\0")) return { refused: "a command cannot hold a NUL byte" };
  if (!allowsFileCopy && isFileCopy(asked.command)) return { refused: NO_COPY };
  return shellCommand(account, asked.command);
}

/** Names another argv[0] from within a chain of programs, which needs bash; without it the shell is asked with `-l`. */
export function withName(command: SessionCommand): readonly string[] {
  if (!command.argv0.startsWith("-")) return [command.file, ...command.args];
  if (!existsSync(BASH)) return [command.file, "-l", ...command.args];
  return [BASH, "--noprofile", "--norc", "-c", 'exec -a "$0" "$@"', command.argv0, command.file, ...command.args];
}

// --- internal ---

const NO_COPY = "copying files is not allowed by your roles";
const BASH = "/bin/bash";

function loginShell({ shell }: OsAccount): SessionCommand {
  return { file: shell, args: [], argv0: `-${baseName(shell)}`, shown: null, isTransfer: false, original: null };
}

function shellCommand({ shell }: OsAccount, command: string): SessionCommand {
  const isTransfer = isPlainTransfer(command);
  return { file: shell, args: ["-c", command], argv0: baseName(shell), shown: command, isTransfer, original: null };
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function printable(text: string): string {
  return text.slice(0, 40).replace(/[^\x20-\x7e]/g, "?");
}
