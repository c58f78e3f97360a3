import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { MezError } from "../../../core/errors/error.js";
import { EMPTY_TRANSFER, parseTransfer, type Transfer } from "./transfer.js";

/**
 * What is not in the bucket yet: `<id>.part` holds a recording from its beginning, `<id>.json` how far its transfer has
 * come, and `<id>.end` says that nothing is added any more. All of it goes when the object is complete.
 */
export class StageFolder {
  constructor(private readonly directory: string) {}

  /** Bytes held, `null` when nothing is held of the recording. */
  async size(id: string): Promise<number | null> {
    return ifThere(async () => (await stat(this.#path(id, "part"))).size);
  }

  /** Ids of everything that is held. */
  async ids(): Promise<readonly string[]> {
    const names = (await ifThere(() => readdir(this.directory))) ?? [];
    return names.filter((name) => name.endsWith(".part")).map((name) => name.slice(0, -".part".length));
  }

  /**
   * Adds bytes at `offset`; what is held there already has to be the same.
   * @returns Bytes held now.
   * @throws {MezError} `CONFLICT`
   */
  async append(id: string, offset: number, bytes: Uint8Array): Promise<number> {
    const held = (await this.size(id)) ?? 0;
    if (offset > held) throw new MezError("CONFLICT", `recording ${id} has ${held} bytes; appending at ${offset} leaves a gap`);
    const known = Math.min(held - offset, bytes.length);
    if (known > 0) requireSame(id, await this.range(id, offset, known), bytes.subarray(0, known));
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    const file = await open(this.#path(id, "part"), "a", 0o600);
    try {
      await writeAll(file, bytes.subarray(known));
    } finally {
      await file.close();
    }
    return Math.max(held, offset + bytes.length);
  }

  async range(id: string, offset: number, length: number): Promise<Buffer> {
    const file = await open(this.#path(id, "part"), "r");
    try {
      const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(length), 0, length, offset);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  }

  /** `null` when nothing is held of the recording. */
  async read(id: string): Promise<Readable | null> {
    const path = this.#path(id, "part");
    const file = await ifThere(() => open(path, "r"));
    return file === null ? null : createReadStream(path, { fd: file, start: 0 });
  }

  async hasEnded(id: string): Promise<boolean> {
    return (await ifThere(() => stat(this.#path(id, "end")))) !== null;
  }

  async markEnded(id: string): Promise<void> {
    await writeFile(this.#path(id, "end"), "", { mode: 0o600, flush: true });
  }

  async transfer(id: string): Promise<Transfer> {
    const text = await ifThere(() => readFile(this.#path(id, "json"), "utf8"));
    return text === null ? EMPTY_TRANSFER : parseTransfer(text);
  }

  async saveTransfer(id: string, transfer: Transfer): Promise<void> {
    const next = this.#path(id, "next");
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    await writeFile(next, JSON.stringify(transfer), { mode: 0o600, flush: true });
    await rename(next, this.#path(id, "json"));
  }

  /** May be called twice. */
  async remove(id: string): Promise<void> {
    for (const kind of ["part", "end", "next", "json"] as const) await rm(this.#path(id, kind), { force: true });
  }

  #path(id: string, kind: "part" | "end" | "json" | "next"): string {
    return join(this.directory, `${id}.${kind}`);
  }
}

/** What is sent again must be what is held. @throws {MezError} `CONFLICT` */
export function requireSame(id: string, held: Uint8Array, sent: Uint8Array): void {
  if (Buffer.compare(held, sent) === 0) return;
  throw new MezError("CONFLICT", `recording ${id} already holds other bytes there, or is complete`);
}

// --- internal ---

async function ifThere<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) done += (await file.write(bytes, done, bytes.length - done)).bytesWritten;
}
