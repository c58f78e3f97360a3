import type { Options } from "@mikro-orm/core";
import type { Port } from "../plugin/contract.js";

/** Opens the database. The core runs migrations and transactions on what it returns. */
export interface StorageDriver {
  /** MikroORM options of this database: driver, location, pool, pragmas. Opens nothing. */
  options(): Partial<Options>;
  /**
   * Runs before the first connection: makes the place ready and takes it for this process.
   * @throws {MezError} `STORAGE_IN_USE`, `STORAGE_UNWRITABLE`
   */
  opening?(): Promise<void>;
  /** Runs once the connection is open, before migrations: settings of the whole database. */
  opened?(execute: (sql: string) => Promise<unknown>): Promise<void>;
  /** Frees what `opening` took; also called after a failed opening. */
  closed?(): Promise<void>;
}

export const STORAGE_DRIVER: Port<StorageDriver> = { id: "storage-driver", version: 1, cardinality: "exactly-one" };
