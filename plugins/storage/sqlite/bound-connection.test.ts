import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { MikroORM } from "@mikro-orm/sqlite";
import { BoundSqliteDriver } from "./bound-connection.js";

suite("a connection that binds values", () => {
  let orm: MikroORM;
  before(async () => {
    orm = new MikroORM({ driver: BoundSqliteDriver, dbName: ":memory:", entities: [], discovery: { warnWhenNoEntities: false } });
    await orm.connect();
  });
  after(() => orm.close(true));

  const execute = (sql: string, values: unknown[] = []) => orm.em.getConnection().execute<Record<string, unknown>[]>(sql, values);

  test("stores values as they are when they stand in the text", async () => {
    await execute("create table kinds (value, name text, moment bigint)");
    const values = [5, "it's", new Date(1_700_000_000_123)];
    await execute("insert into kinds (value, name, moment) values (?, ?, ?)", values);
    // The same, written into the text because of the quotes in it.
    await execute("insert into kinds (value, name, moment) select ?, ?, ? where '' = ''", values);
    const types = "typeof(value) a, typeof(name) b, typeof(moment) c";
    const [one, other, ...rest] = await execute(`select *, ${types} from kinds`);
    assert.deepEqual(one, { value: 5, name: "it's", moment: 1_700_000_000_123, a: "integer", b: "text", c: "integer" });
    assert.deepEqual([other, rest], [one, []]);
  });

  test("shows a column that was added after a statement was compiled", async () => {
    await execute("create table grown (id integer)");
    await execute("insert into grown (id) values (?)", [1]);
    const all = () => execute("select * from grown where id = ?", [1]);
    assert.deepEqual(await all(), [{ id: 1 }]);
    await execute("alter table grown add column note text default 'new'");
    assert.deepEqual(await all(), [{ id: 1, note: "new" }]);
  });

  test("does again what failed", async () => {
    await execute("create table unique_ones (id integer primary key)");
    const insert = (id: number) => execute("insert into unique_ones (id) values (?)", [id]);
    await insert(1);
    await assert.rejects(insert(1), /UNIQUE/);
    await insert(2);
    assert.deepEqual(await execute("select id from unique_ones"), [{ id: 1 }, { id: 2 }]);
  });

  test("compiles a statement once, whatever its values are", async () => {
    const database = await orm.em.getConnection().getNativeClient();
    assert.equal(database.prepare("select ? as it"), database.prepare("select ? as it"));
  });
});
