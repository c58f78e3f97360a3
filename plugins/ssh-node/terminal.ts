import { chmodSync, chownSync, closeSync, constants, openSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import type { SocketConstructorOpts } from "node:net";
import { ReadStream } from "node:tty";
import { lendingReads } from "../../core/flow/lending-socket.js";
import type { OsAccount } from "./os-account.js";
import { isRoot } from "./user-rights.js";

/** Numbers of the masters that are open: see `coveringStdio`. */
const openMasters = new Set<number>();

/** A pseudo-terminal that belongs to an account. */
export class Terminal {
  /** What the program shows, and what the person types. Ends with `EIO` when the last program has left. */
  readonly master: ReadStream;

  private constructor(
    private readonly fd: number,
    /** `/dev/pts/7` */
    readonly path: string,
    /** The program's side; `closeSlave` once it has started. */
    readonly slave: number,
  ) {
    const { memory, onread, attach } = lendingReads();
    this.master = new ReadStream(fd, { onread } as SocketConstructorOpts);
    attach(this.master);
    this.master.once("close", () => memory.close());
    openMasters.add(fd);
    this.master.once("close", () => openMasters.delete(fd));
  }

  static open(account: OsAccount, columns: number, rows: number): Terminal {
    const { master, slave, pty: path } = native().open(columns || DEFAULT_COLUMNS, rows || DEFAULT_ROWS);
    // The addon's descriptors would be inherited by every program that starts from now on; this one is not.
    const ownSlave = openSync(path, constants.O_RDWR | constants.O_NOCTTY);
    closeSync(slave);
    if (isRoot()) {
      const { gid } = statSync(path);
      chownSync(path, account.uid, gid);
      chmodSync(path, gid === 0 ? 0o600 : 0o620); // group tty may write, as write(1) wants it
    }
    return new Terminal(master, path, ownSlave);
  }

  resize(columns: number, rows: number): void {
    if (columns > 0 && rows > 0 && !this.master.destroyed)
      native().resize(this.fd, Math.min(columns, MAX_SIZE), Math.min(rows, MAX_SIZE));
  }

  closeSlave(): void {
    closeSync(this.slave);
  }
}

/**
 * Standard streams for a new program, with `nullFd` laid over every open master: the addon opens masters so that
 * programs inherit them, and one person's program must not hold another's terminal.
 */
export function coveringStdio<Stream>(
  streams: readonly [Stream, Stream, Stream],
  nullFd: number,
): (Stream | "ignore" | number)[] {
  const stdio: (Stream | "ignore" | number)[] = [...streams];
  for (const fd of openMasters) {
    while (stdio.length < fd) stdio.push("ignore");
    stdio[fd] = nullFd;
  }
  return stdio;
}

// --- internal ---

const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;
const MAX_SIZE = 65_535;

interface PtyAddon {
  open(columns: number, rows: number): { readonly master: number; readonly slave: number; readonly pty: string };
  resize(fd: number, columns: number, rows: number): void;
}

let addon: PtyAddon | null = null;

/** The compiled half of node-pty. Its JavaScript half starts programs too, but not with a user's groups. */
function native(): PtyAddon {
  addon ??= createRequire(import.meta.url)(`@lydell/node-pty-${process.platform}-${process.arch}/pty.node`) as PtyAddon;
  return addon;
}
