import type { Options } from "@mikro-orm/core";
import type { Port } from "../plugin/contract.js";

/** Opens the database. The core runs migrations and transactions on what it returns. */
export interface StorageDriver {
  /** For people, when it cannot be reached: `PostgreSQL at db.internal:5432`. */
  readonly place?: string;
  /** MikroORM options of this database: driver, location, pool, pragmas. Opens nothing. */
  options(): Partial<Options>;
  /**
   * Runs before the first connection: makes the place ready and takes it for this process.
   * @throws {MezError} `STORAGE_IN_USE`, `STORAGE_UNWRITABLE`
   */
  opening?(): Promise<void>;
  /**
   * Runs once the connection is open, before migrations: settings of the whole database.
   * @throws {MezError} `STORAGE_UNSUITABLE`
   */
  opened?(execute: (sql: string) => Promise<unknown>): Promise<void>;
  /** Runs after the migrations of the start, before the first transaction: settings that would make migrations worse. */
  migrated?(execute: (sql: string) => Promise<unknown>): Promise<void>;
  /**
   * Present when a commit need not be on the disk when it is made: everything committed so far is when this resolves, and nobody is told
   * of a commit before that. When it rejects, nothing can be said about what was committed since the last time that it
   * resolved: the core serves nothing from then on, closes nothing, and the process ends.
   */
  flush?(): Promise<void>;
  /**
   * Runs between two groups of transactions, when the first has been flushed; the second waits for it, and nobody else does. A rejection counts as
   * that of `flush`.
   */
  upkeep?(): Promise<void>;
  /** Frees what `opening` took; also called after a failed opening. */
  closed?(): Promise<void>;
  /** Present when several processes may have the database open at once; absent when `opening` keeps others out. */
  readonly shared?: SharedStorage;
}

/**
 * What several servers need to share a database, which undoes a transaction at its commit after it has refused one of its
 * statements. Each text is one or more statements, sent in one piece.
 */
export interface SharedStorage {
  /**
   * Begins a transaction that writes. It has to end by itself when this process falls silent, since it keeps all other
   * writers waiting: a row that each of them locks first (`select … for update`).
   */
  readonly begin: string;
  /**
   * Wakes those who `listen`, when the transaction that it is in is committed.
   * @param note For them: letters, digits, spaces and hyphens, up to 100.
   */
  tell(note: string): string;
  /** Runs first in the transaction of migrations, and waits until no other server is in one. */
  readonly lockForMigrations: string;
  /** Told before and after migrations, at the start and later: their statements may take as long as they need. */
  migrating?(isUnderWay: boolean): void;
  /**
   * Calls `onChange` when a server has committed changes, this one included, with the note that was told; empty when it only may
   * have. May miss any of them: the core asks by itself, only later.
   * @returns The way to stop.
   */
  listen(onChange: (note: string) => void): () => Promise<void>;
}

export const STORAGE_DRIVER: Port<StorageDriver> = { id: "storage-driver", version: 1, cardinality: "exactly-one" };
