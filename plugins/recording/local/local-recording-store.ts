import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { toDiskError } from "../../../core/errors/disk-error.js";
import { MezError } from "../../../core/errors/error.js";
import { type RecordingStore, requireRecordingId } from "../../../core/ports/recording-store.js";

/**
 * Keeps each recording in a file of one folder: `<id>.part` while it grows, `<id>.cast` once it is complete and on disk
 * for good.
 */
export class LocalRecordingStore implements RecordingStore {
  /** The last piece of work on each recording; the next one waits for it. */
  readonly #busy = new Map<string, Promise<unknown>>();

  constructor(private readonly directory: string) {}

  append(id: string, offset: number, bytes: Uint8Array): Promise<number> {
    const { part, cast } = this.#files(id);
    return this.#inTurn(id, async () => {
      const whole = await sizeOf(cast);
      if (whole !== null) return repeated(id, await readRange(cast, offset, bytes.length), bytes, whole);
      const file = await this.#openPart(part);
      try {
        const held = (await file.stat()).size;
        if (offset > held)
          throw new MezError("CONFLICT", `recording ${id} has ${held} bytes; appending at ${offset} leaves a gap`);
        const known = Math.min(held - offset, bytes.length);
        if (known > 0) repeated(id, await readRange(part, offset, known), bytes.subarray(0, known), held);
        await writeAll(file, bytes.subarray(known), offset + known);
        return Math.max(held, offset + bytes.length);
      } finally {
        await file.close();
      }
    });
  }

  async size(id: string): Promise<number> {
    const { part, cast } = this.#files(id);
    return (await sizeOf(cast)) ?? (await sizeOf(part)) ?? 0;
  }

  complete(id: string): Promise<void> {
    const { part, cast } = this.#files(id);
    return this.#inTurn(id, async () => {
      if ((await sizeOf(cast)) !== null) return;
      const file = await this.#openPart(part);
      try {
        await file.sync();
        await rename(part, cast);
        await this.#syncFolder();
      } finally {
        await file.close();
      }
    });
  }

  async read(id: string): Promise<Readable> {
    const { part, cast } = this.#files(id);
    for (const path of [cast, part, cast]) {
      const file = await openIfThere(path);
      if (file !== null) return createReadStream(path, { fd: file, start: 0 });
    }
    throw new MezError("NOT_FOUND", `there is no recording ${id}`);
  }

  delete(id: string): Promise<void> {
    const { part, cast } = this.#files(id);
    return this.#inTurn(id, async () => {
      await rm(cast, { force: true });
      await rm(part, { force: true });
    });
  }

  /** Ids come over the network: nothing that could leave the folder gets through. */
  #files(id: string): { readonly part: string; readonly cast: string } {
    requireRecordingId(id);
    return { part: join(this.directory, `${id}.part`), cast: join(this.directory, `${id}.cast`) };
  }

  async #inTurn<T>(id: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#busy.get(id) ?? Promise.resolve()).catch(() => undefined).then(work);
    this.#busy.set(id, turn);
    try {
      return await turn;
    } catch (error) {
      throw toDiskError(error, `recording ${id}`);
    } finally {
      if (this.#busy.get(id) === turn) this.#busy.delete(id);
    }
  }

  async #openPart(path: string): Promise<FileHandle> {
    const known = await openIfThere(path, "r+");
    if (known !== null) return known;
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    return open(path, "wx+", 0o600);
  }

  async #syncFolder(): Promise<void> {
    const folder = await open(this.directory, "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }
}

// --- internal ---

async function sizeOf(path: string): Promise<number | null> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    return absent(error);
  }
}

async function openIfThere(path: string, flags: "r" | "r+" = "r"): Promise<FileHandle | null> {
  try {
    return await open(path, flags);
  } catch (error) {
    return absent(error);
  }
}

function absent(error: unknown): null {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
  throw error;
}

async function readRange(path: string, offset: number, length: number): Promise<Buffer> {
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** What is sent again must be what is held. @returns `size` */
function repeated(id: string, held: Buffer, sent: Uint8Array, size: number): number {
  if (held.equals(sent)) return size;
  throw new MezError("CONFLICT", `recording ${id} already holds other bytes there, or is complete`);
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}
