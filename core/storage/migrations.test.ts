import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, suite, test } from "node:test";
import { defineEntity, p } from "@mikro-orm/core";
import { Migration } from "@mikro-orm/migrations";
import { SqliteStorageDriver } from "../../plugins/storage/sqlite/sqlite-driver.js";
import { isMezError } from "../errors/error.js";
import type { Migrations } from "../plugin/database.js";
import { systemClock } from "../time/clock.js";
import { type OpenDatabase, openDatabase, type PluginTables } from "./database.js";
import { historyTable } from "./history-table.js";

function migration(name: string, ...statements: readonly string[]): Migrations[number] {
  return {
    name,
    class: class extends Migration {
      override up(): void {
        for (const statement of statements) this.addSql(statement);
      }
    },
  };
}

const Thing = defineEntity({
  name: "Thing",
  tableName: "things",
  properties: { id: p.text().primary(), size: p.integer().nullable() },
});
const create = migration("001-things", "create table things (id text primary key)");
const grow = migration("002-size", "alter table things add column size integer");

suite("migrations", () => {
  let folder: string;
  let opened: OpenDatabase | null;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "mezite-migrations-"));
    opened = null;
  });
  afterEach(async () => {
    await opened?.close();
    await rm(folder, { recursive: true });
  });

  async function open(...plugins: PluginTables[]): Promise<OpenDatabase> {
    opened = await openDatabase({
      driver: new SqliteStorageDriver(join(folder, "mezite.db")),
      plugins,
      sinks: () => [],
      clock: systemClock,
      clusterName: "test",
      logger: { debug() {}, info() {}, warn() {}, error() {} },
      onCommitted() {},
    });
    return opened;
  }

  async function reopen(...plugins: PluginTables[]): Promise<OpenDatabase> {
    await opened?.close();
    opened = null;
    return open(...plugins);
  }

  const history = (db: OpenDatabase, id: string) =>
    db.database.read((em) =>
      em.getConnection("read").execute<{ name: string }[]>(`select name from ${historyTable(id)} order by id`),
    );

  test("each plugin has its own history, and a later version adds to it", async () => {
    await open({ id: "connector.x-y", entities: [], migrations: [create] });
    const db = await reopen({ id: "connector.x-y", entities: [Thing], migrations: [create, grow] });
    assert.deepEqual(await history(db, "connector.x-y"), [{ name: "001-things" }, { name: "002-size" }]);
    await db.database.transaction((tx) => tx.em.insert(Thing, { id: "a", size: 1 }));
  });

  test("refuses a database that a newer version has used", async () => {
    await open({ id: "things", entities: [], migrations: [create, grow] });
    await assert.rejects(
      reopen({ id: "things", entities: [], migrations: [create] }),
      (error) => isMezError(error, "STORAGE_NEWER") && /002-size/.test(error.message),
    );
    await reopen({ id: "things", entities: [], migrations: [create, grow] });
  });

  test("a failing migration leaves nothing behind and is tried again", async () => {
    const broken = migration(
      "002-size",
      "alter table things add column size integer",
      "alter table nowhere add column x integer",
    );
    await assert.rejects(open({ id: "things", entities: [], migrations: [create, broken] }), (error) =>
      isMezError(error, "STORAGE_MIGRATION_FAILED"),
    );
    const db = await reopen({ id: "things", entities: [Thing], migrations: [create, grow] });
    await db.database.transaction((tx) => tx.em.insert(Thing, { id: "a", size: 1 }));
  });

  test("adds the tables of a plugin to a running database, twice without harm", async () => {
    const db = await open();
    for (let i = 0; i < 2; i += 1) await db.addPlugin({ id: "things", entities: [Thing], migrations: [create, grow] });
    await db.database.transaction((tx) => tx.em.insert(Thing, { id: "a", size: 1 }));
    assert.equal(await db.database.read((em) => em.count(Thing)), 1);
  });

  test("replaces the entities of a plugin, and those from before work until they are forgotten", async () => {
    const db = await open({ id: "things", entities: [Thing], migrations: [create] });
    const Newer = defineEntity({
      name: "Thing",
      tableName: "things",
      properties: { id: p.string().primary(), size: p.integer().nullable() },
    });
    await db.addPlugin({ id: "things", entities: [Newer], migrations: [create, grow] });
    await db.database.transaction((tx) => tx.em.insert(Newer, { id: "new", size: 1 }));
    await db.database.transaction(async (tx) => void tx.em.persist(tx.em.create(Thing, { id: "old" })));
    assert.equal(await db.database.read((em) => em.count(Thing)), 2);
    db.forget([Thing]);
    await db.database.transaction(async (tx) => void tx.em.persist(tx.em.create(Newer, { id: "newer", size: 2 })));
    assert.equal(await db.database.read((em) => em.count(Newer)), 3);
  });
});
