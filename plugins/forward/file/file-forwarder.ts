import { type FileHandle, open, stat } from "node:fs/promises";
import { toDiskError } from "../../../core/errors/disk-error.js";
import type { Lifecycle } from "../../../core/plugin/contract.js";
import type { AuditForwarder, ForwardedEvent } from "../../../core/ports/audit-forwarder.js";

/**
 * Appends events to a file of mode 0640. Looks before each write whether the file is still the one at its path, so that
 * logrotate may rename, delete or truncate it without a signal.
 */
export class FileForwarder implements AuditForwarder, Lifecycle {
  #file: FileHandle | null = null;
  /** The last write; the next one waits for it. */
  #busy: Promise<void> = Promise.resolve();

  /** @param path Absolute; its folder exists. */
  constructor(private readonly path: string) {}

  /** Resolves when the events are on the disk. @throws {MezError} `STORAGE_FULL`, `STORAGE_UNWRITABLE` */
  deliver(events: readonly ForwardedEvent[]): Promise<void> {
    const turn = this.#busy.then(() => this.#append(events));
    this.#busy = turn.catch(() => undefined);
    return turn;
  }

  async dispose(): Promise<void> {
    await this.#busy;
    await this.#close();
  }

  async #append(events: readonly ForwardedEvent[]): Promise<void> {
    try {
      const file = await this.#current();
      const { size } = await file.stat();
      // A line that a full disk cut short ends here, so that the next one stands alone.
      const start = (await endsWithLine(file, size)) ? "" : "\n";
      const bytes = Buffer.from(start + events.map(({ json }) => `${json}\n`).join(""));
      await file.appendFile(bytes);
      await file.datasync();
    } catch (error) {
      await this.#close();
      throw toDiskError(error, `the file ${this.path}`);
    }
  }

  async #close(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    await file?.close().catch(() => undefined);
  }

  async #current(): Promise<FileHandle> {
    if (this.#file !== null && (await this.#isAtPath(this.#file))) return this.#file;
    await this.#close();
    this.#file = await open(this.path, "a+", 0o640);
    return this.#file;
  }

  async #isAtPath(file: FileHandle): Promise<boolean> {
    const own = await file.stat({ bigint: true });
    const there = await stat(this.path, { bigint: true }).catch(() => null);
    return there !== null && there.ino === own.ino && there.dev === own.dev;
  }
}

// --- internal ---

const NEW_LINE = 10;

async function endsWithLine(file: FileHandle, size: number): Promise<boolean> {
  if (size === 0) return true;
  const { buffer, bytesRead } = await file.read(Buffer.alloc(1), 0, 1, size - 1);
  return bytesRead === 0 || buffer[0] === NEW_LINE;
}
