import type { MikroORM } from "@mikro-orm/core";
import { type Migration, MigrationRunner, MigrationStorage } from "@mikro-orm/migrations";
import type { AbstractSqlDriver } from "@mikro-orm/sqlite";
import { MezError } from "../errors/error.js";
import type { Migrations } from "../plugin/database.js";
import type { SharedStorage } from "../ports/storage-driver.js";
import { historyTable } from "./history-table.js";

/** As MikroORM's connection makes it. */
export type MigrationTransaction = object;

/** What migrations of a shared database run in. */
export interface MigrationWork {
  readonly transaction: MigrationTransaction;
  /** Waits until no server writes, and keeps all of them from writing; once more does nothing. */
  keepWritersOut(): Promise<void>;
  /** Has other servers look whether they know these tables. */
  announce(): Promise<void>;
}

/**
 * Runs `work` in one transaction, and on a shared database while no other server is in it.
 * @param shared `null` where nobody else can be.
 */
export async function migrateAlone(
  orm: MikroORM,
  shared: Pick<SharedStorage, "lockForMigrations" | "migrating"> | null,
  work: (around?: MigrationWork) => Promise<void>,
): Promise<void> {
  if (shared === null) return work();
  const connection = (orm.driver as unknown as AbstractSqlDriver).getConnection();
  shared.migrating?.(true);
  try {
    await connection.transactional(async (transaction) => {
      const run = (sql: string) => connection.execute(sql, [], "run", transaction);
      await run(shared.lockForMigrations);
      let isAlone = false;
      await work({
        transaction,
        keepWritersOut: async () => {
          // Before any table: writers take this row first, so nobody waits for the other crosswise.
          if (!isAlone) await run("select id from outbox_head where id = 1 for update");
          isAlone = true;
        },
        announce: async () => void (await run("update outbox_head set schema_changes = schema_changes + 1 where id = 1")),
      });
    });
  } finally {
    shared.migrating?.(false);
  }
}

/**
 * Brings the tables of one plugin up to date, one transaction for each migration.
 * @param around The transaction to do all of it in, a savepoint for each migration.
 * @returns How many have run.
 * @throws {MezError} `STORAGE_NEWER` when a later version has run here, `STORAGE_MIGRATION_FAILED`.
 */
export async function migrate(orm: MikroORM, pluginId: string, migrations: Migrations, around?: MigrationWork): Promise<number> {
  if (migrations.length === 0) return 0;
  const driver = orm.driver as unknown as AbstractSqlDriver;
  const options = {
    ...orm.config.get("migrations"),
    tableName: historyTable(pluginId),
    transactional: true,
    disableForeignKeys: false,
  };
  const history = new MigrationStorage(driver, options);
  const runner = new MigrationRunner(driver, options, orm.config);
  if (around !== undefined) {
    history.setMasterMigration(around.transaction as never);
    runner.setMasterMigration(around.transaction as never);
  }
  const applied = new Set(await history.executed());
  const unknown = [...applied].find((name) => !migrations.some((migration) => migration.name === name));
  if (unknown !== undefined) {
    throw new MezError(
      "STORAGE_NEWER",
      `the database was used by a newer version: plugin "${pluginId}" does not know its migration "${unknown}"; start that version, or restore a backup`,
    );
  }
  const missing = migrations.filter(({ name }) => !applied.has(name));
  // The row that writers lock is made by the core's first migration.
  if (missing.length > 0 && !(pluginId === "core" && applied.size === 0)) await around?.keepWritersOut();
  for (const { name, class: MigrationClass } of missing) {
    const migration = new (MigrationClass as new (driver: AbstractSqlDriver, config: MikroORM["config"]) => Migration)(
      driver,
      orm.config,
    );
    try {
      await runner.run(migration, "up", (tx) => history.logMigration({ name }, tx));
    } catch (cause) {
      throw new MezError(
        "STORAGE_MIGRATION_FAILED",
        `migration "${name}" of plugin "${pluginId}" failed; the database is as it was before it`,
        { cause },
      );
    }
  }
  return missing.length;
}
