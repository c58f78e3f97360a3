import { readFileSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { MezError } from "../../../core/errors/error.js";

/**
 * Keeps a database file to one process. The lock is SQLite's own on a small file beside it, which the operating system
 * frees when the process ends in any way; a second file says who holds it.
 */
export class DatabaseLock {
  readonly #path: string;
  #held: DatabaseSync | null = null;

  /** @param path The database file. */
  constructor(path: string) {
    this.#path = path;
  }

  /** @throws {MezError} `STORAGE_IN_USE` with the path and, as far as known, the process. */
  take(): void {
    const lock = new DatabaseSync(`${this.#path}.lock`, { timeout: 0 });
    try {
      lock.exec("pragma journal_mode = memory; begin exclusive");
    } catch (cause) {
      lock.close();
      if (isBusy(cause)) throw this.#inUse(cause);
      throw cause;
    }
    this.#held = lock;
    writeFileSync(`${this.#path}.pid`, `${process.pid}\n`, { mode: 0o600 });
  }

  release(): void {
    this.#held?.close();
    this.#held = null;
  }

  #inUse(cause: unknown): MezError {
    const pid = readPid(`${this.#path}.pid`);
    const who = pid === null ? "another process" : `process ${pid}`;
    return new MezError("STORAGE_IN_USE", `${who} uses the database ${this.#path}; stop it, or choose another data directory`, {
      cause,
      fields: { path: this.#path, pid: pid ?? 0 },
    });
  }
}

// --- internal ---

function isBusy(error: unknown): boolean {
  return error instanceof Error && "errcode" in error && error.errcode === 5; // SQLITE_BUSY
}

function readPid(path: string): number | null {
  try {
    const pid = Number(readFileSync(path, "utf8").trim());
    return Number.isInteger(pid) && pid > 0 ? pid : null;
  } catch {
    return null;
  }
}
