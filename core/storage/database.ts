import { MikroORM } from "@mikro-orm/core";
import { messageOf } from "../errors/error.js";
import { OUTBOX_ENTITIES, type OutboxRow, readOutbox } from "../events/outbox.js";
import { OUTBOX_MIGRATIONS } from "../events/outbox-migration.js";
import type { Database, Entities, Migrations } from "../plugin/database.js";
import type { StorageDriver } from "../ports/storage-driver.js";
import { migrate } from "./migrations.js";
import { toStorageError } from "./storage-error.js";
import { type TransactionOptions, TransactionQueue } from "./transaction.js";

/** The tables of one plugin. */
export interface PluginTables {
  readonly id: string;
  readonly entities: Entities;
  readonly migrations: Migrations;
}

export interface DatabaseOptions extends Omit<TransactionOptions, "orm"> {
  readonly driver: StorageDriver;
  /** In dependency order: their migrations run in it. */
  readonly plugins: readonly PluginTables[];
}

/** The database of a running process. */
export interface OpenDatabase {
  readonly database: Database;
  readonly outbox: {
    /** Committed and not delivered, oldest first: what an earlier process left behind. */
    pending(): Promise<readonly OutboxRow[]>;
    /** These need not be kept any more; deleted with the next commit. */
    delivered(seqs: readonly number[]): void;
  };
  /** Adds the tables of a plugin that is enabled while the process runs. Once more for the same id does nothing. */
  addPlugin(tables: PluginTables): Promise<void>;
  /** Finishes the transactions that were accepted, then frees everything. */
  close(): Promise<void>;
}

/**
 * Opens the database and brings all tables up to date.
 * @throws {MezError} `STORAGE_IN_USE`, `STORAGE_UNWRITABLE`, `STORAGE_NEWER`, `STORAGE_CORRUPT`, `UNAVAILABLE`
 */
export async function openDatabase(options: DatabaseOptions): Promise<OpenDatabase> {
  const { driver } = options;
  const orm = new MikroORM({
    ...driver.options(),
    entities: [...OUTBOX_ENTITIES, ...options.plugins.flatMap((plugin) => [...plugin.entities])],
    metadataCache: { enabled: false },
  });
  try {
    await driver.opening?.();
    await orm.connect();
    await driver.opened?.((sql) => orm.em.getConnection("write").execute(sql));
    await migrate(orm, "core", OUTBOX_MIGRATIONS);
    for (const plugin of options.plugins) await migrate(orm, plugin.id, plugin.migrations);
  } catch (error) {
    await orm.close(true).catch((failure) => options.logger.warn("closing the database", { error: messageOf(failure) }));
    await driver.closed?.();
    throw toStorageError(error);
  }
  const queue = new TransactionQueue({ ...options, orm });
  const known = new Set(options.plugins.map((plugin) => plugin.id));
  return {
    database: queue,
    outbox: {
      pending: () => queue.read(readOutbox),
      delivered: (seqs) => queue.delivered(seqs),
    },
    async addPlugin(tables) {
      if (known.has(tables.id)) return;
      await migrate(orm, tables.id, tables.migrations);
      if (tables.entities.length > 0) orm.discoverEntity([...tables.entities]);
      known.add(tables.id);
    },
    async close() {
      await queue.close();
      await orm.close(true);
      await driver.closed?.();
    },
  };
}
