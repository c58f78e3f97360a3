import { chmodSync, closeSync, existsSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import type { Options } from "@mikro-orm/core";
import { MezError, messageOf } from "../../../core/errors/error.js";
import type { StorageDriver } from "../../../core/ports/storage-driver.js";
import { BoundSqliteDriver } from "./bound-connection.js";
import { DatabaseLock } from "./database-lock.js";
import { LogFile, type OpenFile, openFile } from "./log-file.js";

/** A database in one file, for one process: one connection that writes, another that reads beside it. */
export class SqliteStorageDriver implements StorageDriver {
  readonly #path: string;
  readonly #lock: DatabaseLock;
  #log: LogFile | null = null;

  /** @param path Absolute; the folder is made with mode 0700 when it is missing. */
  constructor(
    path: string,
    private readonly open: OpenFile = openFile,
  ) {
    this.#path = path;
    this.#lock = new DatabaseLock(path);
  }

  get place(): string {
    return this.#path;
  }

  options(): Partial<Options> {
    return {
      driver: BoundSqliteDriver,
      dbName: this.#path,
      driverOptions: { timeout: BUSY_TIMEOUT_MS },
      // In WAL mode a reader sees the last commit and waits for nobody.
      replicas: [{ driverOptions: { timeout: BUSY_TIMEOUT_MS, readonly: true } }],
    };
  }

  async opening(): Promise<void> {
    try {
      mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
      for (const file of [this.#path, `${this.#path}.lock`]) {
        if (!existsSync(file)) closeSync(openSync(file, "a", 0o600));
        chmodSync(file, 0o600);
      }
      this.#lock.take();
    } catch (error) {
      if (error instanceof MezError) throw error;
      throw new MezError(
        "STORAGE_UNWRITABLE",
        `the database ${this.#path} cannot be written (${messageOf(error)}); make its folder writable for this user`,
        { cause: error },
      );
    }
  }

  async opened(execute: (sql: string) => Promise<unknown>): Promise<void> {
    await this.#useLog(execute);
    // FULL would flush the log in each commit, and hold up everything meanwhile: `flush` does it. NORMAL flushes where the order of
    // writing counts, https://www.sqlite.org/pragma.html#pragma_synchronous.
    await execute("pragma synchronous = normal");
    // What a process has left that was killed may be in memory alone.
    // The first statement that reads the tables keeps them for itself.
    await execute("select count(*) from sqlite_schema");
    await execute("pragma wal_checkpoint(passive)");
    this.#log = await LogFile.open(this.#path, this.open);
    await this.flush();
  }

  async flush(): Promise<void> {
    await this.#log?.flush();
  }

  async migrated(execute: (sql: string) => Promise<unknown>): Promise<void> {
    // What undoes a statement went to a file in /var/tmp whenever it touched more than 16 pages, as each batch of audit events does: a third
    // of all that was written. Migrations, which may sort whole tables, keep their files.
    await execute("pragma temp_store = memory");
  }

  async closed(): Promise<void> {
    await this.#log?.close();
    this.#log = null;
    this.#lock.release();
  }

  async #useLog(execute: (sql: string) => Promise<unknown>): Promise<void> {
    const [{ journal_mode: mode }] = (await execute("pragma journal_mode = wal")) as [{ readonly journal_mode: string }];
    if (mode !== "wal")
      throw new MezError(
        "STORAGE_UNSUITABLE",
        `the database ${this.#path} cannot have a write-ahead log (journal mode ${mode}); put it into a folder of a local disk`,
      );
  }
}

// --- internal ---

// Only tools such as a backup can make us wait: the lock keeps other servers out.
const BUSY_TIMEOUT_MS = 5000;
