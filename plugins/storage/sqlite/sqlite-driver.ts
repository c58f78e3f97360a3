import { chmodSync, closeSync, existsSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import type { Options } from "@mikro-orm/core";
import { MezError, messageOf } from "../../../core/errors/error.js";
import type { Logger } from "../../../core/plugin/logger.js";
import type { StorageDriver } from "../../../core/ports/storage-driver.js";
import { BoundSqliteDriver } from "./bound-connection.js";
import type { LogState } from "./checkpoint-message.js";
import { CheckpointThread } from "./checkpoint-thread.js";
import { Checkpointer } from "./checkpointer.js";
import { DatabaseLock } from "./database-lock.js";
import { type DiskFile, LogFile, type OpenFile, openFile } from "./log-file.js";

export interface SqliteParts {
  /** For files that are flushed. */
  readonly open?: OpenFile;
  /** Absent: nothing is logged. */
  readonly logger?: Logger;
  /** From how many frames on the log is copied into the database; default 1,000. */
  readonly minFrames?: number;
}

/** What there is while the database is open. */
interface OpenFiles {
  readonly log: LogFile;
  readonly data: DiskFile;
  readonly checkpointer: Checkpointer;
}

/** A database in one file, for one process: one connection that writes, another that reads beside it. */
export class SqliteStorageDriver implements StorageDriver {
  readonly #path: string;
  readonly #lock: DatabaseLock;
  readonly #thread: CheckpointThread;
  #files: OpenFiles | null = null;

  /** @param path Absolute; the folder is made with mode 0700 when it is missing. */
  constructor(
    path: string,
    private readonly parts: SqliteParts = {},
  ) {
    this.#path = path;
    this.#thread = new CheckpointThread(path);
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
    // SQLite's own copying, in a commit, is left for when ours fails.
    await execute(`pragma wal_autocheckpoint = ${AUTO_CHECKPOINT_FRAMES}`);
    this.#files = await this.#open(execute);
    await this.flush();
  }

  async flush(): Promise<void> {
    await this.#files?.log.flush();
  }

  async upkeep(): Promise<void> {
    await this.#files?.checkpointer.upkeep();
  }

  async migrated(execute: (sql: string) => Promise<unknown>): Promise<void> {
    // What undoes a statement went to a file in /var/tmp whenever it touched more than 16 pages, as each batch of audit events does: a third
    // of all that was written. Migrations, which may sort whole tables, keep their files.
    await execute("pragma temp_store = memory");
  }

  async closed(): Promise<void> {
    const files = this.#files;
    this.#files = null;
    await files?.checkpointer.close();
    await this.#thread.close();
    await files?.log.close();
    // After all connections: it takes the locks of this process away.
    await files?.data.close();
    this.#lock.release();
  }

  async #open(execute: (sql: string) => Promise<unknown>): Promise<OpenFiles> {
    const { open = openFile, logger = NO_LOGGER, minFrames } = this.parts;
    const data = await open(this.#path);
    const checkpointer = new Checkpointer({
      state: async () => ((await execute("pragma wal_checkpoint(noop)")) as [LogState])[0],
      checkpoint: () => this.#thread.checkpoint(),
      data,
      logger,
      ...(minFrames === undefined ? {} : { minFrames }),
    });
    return { data, checkpointer, log: await LogFile.open(this.#path, open) };
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
const AUTO_CHECKPOINT_FRAMES = 16_000; // 64 MiB
const NO_LOGGER: Logger = { debug() {}, info() {}, warn() {}, error() {} };
