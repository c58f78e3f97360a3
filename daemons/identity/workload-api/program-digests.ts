import { createHash } from "node:crypto";
import { close, fstatSync, read } from "node:fs";
import { promisify } from "node:util";
import { fileId, type ProcessTable } from "./process-table.js";

/**
 * SHA-256 of the programs of processes, each read once as long as it does not change. Of one user's programs one is read at a
 * time: whoever makes new ones all the time waits for themselves.
 */
export class ProgramDigests {
  readonly #known = new Map<string, string>();
  readonly #reading = new Map<string, Promise<string | null>>();
  readonly #lastOfUser = new Map<number, Promise<unknown>>();

  constructor(private readonly processes: Pick<ProcessTable, "openProgram">) {}

  /**
   * @param id Of the program that the process was seen to run.
   * @param uid Of the process.
   * @returns Lower case hex; `null` when it runs another one by now, or one that cannot be read or is too large.
   */
  of(pid: number, id: string, uid: number): Promise<string | null> {
    const known = this.#known.get(id);
    if (known !== undefined) return Promise.resolve(known);
    let reading = this.#reading.get(id);
    if (reading === undefined) {
      const turn = this.#lastOfUser.get(uid) ?? Promise.resolve();
      reading = turn.then(() => this.#read(pid, id));
      const read = reading.finally(() => {
        this.#reading.delete(id);
        if (this.#lastOfUser.get(uid) === read) this.#lastOfUser.delete(uid);
      });
      this.#reading.set(id, reading);
      this.#lastOfUser.set(uid, read);
    }
    return reading;
  }

  async #read(pid: number, id: string): Promise<string | null> {
    let fd: number | null = null;
    try {
      fd = this.processes.openProgram(pid);
      if (fileId(fstatSync(fd, { bigint: true })) !== id) return null;
      const digest = await digestOf(fd);
      if (digest === null || fileId(fstatSync(fd, { bigint: true })) !== id) return null;
      this.#remember(id, digest);
      return digest;
    } catch {
      return null;
    } finally {
      if (fd !== null) await closeFile(fd);
    }
  }

  #remember(id: string, digest: string): void {
    const [oldest] = this.#known.keys();
    if (this.#known.size >= MAX_KNOWN && oldest !== undefined) this.#known.delete(oldest);
    this.#known.set(id, digest);
  }
}

// --- internal ---

const MAX_KNOWN = 1024;
const MAX_PROGRAM_BYTES = 1024 * 1024 * 1024;
const CHUNK_BYTES = 256 * 1024;
const readFile = promisify(read);
const closeFile = promisify(close);

async function digestOf(fd: number): Promise<string | null> {
  const hash = createHash("sha256");
  const chunk = Buffer.alloc(CHUNK_BYTES);
  for (let position = 0; position <= MAX_PROGRAM_BYTES; ) {
    const { bytesRead } = await readFile(fd, chunk, 0, CHUNK_BYTES, position);
    if (bytesRead === 0) return hash.digest("hex");
    hash.update(chunk.subarray(0, bytesRead));
    position += bytesRead;
  }
  return null;
}
