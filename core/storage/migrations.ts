import type { MikroORM } from "@mikro-orm/core";
import { type Migration, MigrationRunner, MigrationStorage } from "@mikro-orm/migrations";
import type { AbstractSqlDriver } from "@mikro-orm/sqlite";
import { MezError } from "../errors/error.js";
import type { Migrations } from "../plugin/database.js";
import { historyTable } from "./history-table.js";

/** As MikroORM's connection makes it. */
export type MigrationTransaction = object;

/**
 * Runs `work` in one transaction, and on a shared database while no other server is in it.
 * @param lock Statements to begin with; `null` where nobody else can be.
 */
export async function migrateAlone(
  orm: MikroORM,
  lock: string | null,
  work: (around?: MigrationTransaction) => Promise<void>,
): Promise<void> {
  if (lock === null) return work();
  const connection = (orm.driver as unknown as AbstractSqlDriver).getConnection();
  await connection.transactional(async (transaction) => {
    await connection.execute(lock, [], "run", transaction);
    await work(transaction);
  });
}

/**
 * Brings the tables of one plugin up to date, one transaction for each migration.
 * @param around The transaction to do all of it in, a savepoint for each migration.
 * @throws {MezError} `STORAGE_NEWER` when a later version has run here, `STORAGE_MIGRATION_FAILED`.
 */
export async function migrate(
  orm: MikroORM,
  pluginId: string,
  migrations: Migrations,
  around?: MigrationTransaction,
): Promise<void> {
  if (migrations.length === 0) return;
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
    history.setMasterMigration(around as never);
    runner.setMasterMigration(around as never);
  }
  const applied = new Set(await history.executed());
  const unknown = [...applied].find((name) => !migrations.some((migration) => migration.name === name));
  if (unknown !== undefined) {
    throw new MezError(
      "STORAGE_NEWER",
      `the database was used by a newer version: plugin "${pluginId}" does not know its migration "${unknown}"; start that version, or restore a backup`,
    );
  }
  for (const { name, class: MigrationClass } of migrations) {
    if (applied.has(name)) continue;
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
}
