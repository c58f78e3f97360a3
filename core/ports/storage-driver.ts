import type { Options } from "@mikro-orm/core";
import type { Port } from "../plugin/contract.js";

/** Opens the database. The core runs migrations and transactions on what it returns. */
export interface StorageDriver {
  /** MikroORM options of this database: driver, location, pool, pragmas. Opens nothing. */
  options(): Options;
  /** Runs once the connection is open, before migrations; throws `STORAGE_IN_USE` when another process has the database. */
  opened?(execute: (sql: string) => Promise<unknown>): Promise<void>;
  /** Frees what `opened` took. */
  closed?(): Promise<void>;
}

export const STORAGE_DRIVER: Port<StorageDriver> = { id: "storage-driver", version: 1, cardinality: "exactly-one" };
