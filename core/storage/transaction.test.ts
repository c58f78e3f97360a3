import assert from "node:assert/strict";
import { after, before, beforeEach, suite, test } from "node:test";
import { inspect } from "node:util";
import { defineEntity, p } from "@mikro-orm/core";
import { Migration } from "@mikro-orm/migrations";
import type { SqliteConnection } from "@mikro-orm/sqlite";
import { openTestDatabase, type TestDatabase } from "../../test/fixtures/database.js";
import { isMezError, MezError } from "../errors/error.js";
import type { CollectionKind } from "../plugin/collection.js";
import type { EventType } from "../plugin/contract.js";
import type { Transaction } from "../plugin/database.js";
import type { AuditSink } from "../ports/audit-sink.js";

const Note = defineEntity({ name: "Note", tableName: "notes", properties: { name: p.text().primary(), text: p.text() } });

class CreateNotes extends Migration {
  override up(): void {
    this.addSql("create table notes (name text primary key, text text not null)");
  }
}

const NOTE_WRITTEN: EventType<{ name: string }> = { name: "note.written", version: 1 };
const NOTES: CollectionKind<{ text: string }> = { name: "notes", version: 1, visibleTo: () => true };

suite("transactions", () => {
  let db: TestDatabase;
  before(async () => {
    db = await openTestDatabase({ entities: [Note], migrations: [{ name: "001-notes", class: CreateNotes }] });
  });
  after(() => db.close());
  beforeEach(async () => {
    await db.database.transaction((tx) => tx.em.nativeDelete(Note, {}));
    for (const list of [db.events, db.puts, db.removes, db.audits]) list.length = 0;
  });

  const count = () => db.database.read((em) => em.count(Note));

  test("commits rows, events, collection changes and audit records together", async () => {
    const result = await db.database.transaction(async (tx) => {
      tx.em.persist(tx.em.create(Note, { name: "a", text: "one" }));
      tx.emit(NOTE_WRITTEN, { name: "a" });
      tx.put(NOTES, "a", { text: "one" });
      tx.remove(NOTES, "b");
      tx.audit({ type: "note.created", resourceName: "a" });
      return 7;
    });
    assert.equal(result, 7);
    assert.equal(await count(), 1);
    assert.deepEqual(db.events, [{ name: "note.written", key: null, value: { name: "a" } }]);
    assert.deepEqual(db.puts, [{ name: "notes", key: "a", value: { text: "one" } }]);
    assert.deepEqual(db.removes, [{ name: "notes", key: "b", value: undefined }]);
    assert.equal(db.audits[0]?.clusterName, "test");
    assert.equal(db.audits[0]?.success, true);
    assert.match(db.audits[0]?.id ?? "", /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  test("undoes a failing transaction and commits its neighbours in the group", async () => {
    const outcomes = await Promise.allSettled(
      Array.from({ length: 40 }, (_, index) =>
        db.database.transaction(async (tx) => {
          await tx.em.insert(Note, { name: `n${index}`, text: "" });
          tx.emit(NOTE_WRITTEN, { name: `n${index}` });
          if (index % 4 === 3) throw new MezError("CONFLICT", "no");
        }),
      ),
    );
    assert.equal(
      outcomes.filter((outcome) => outcome.status === "rejected" && isMezError(outcome.reason, "CONFLICT")).length,
      10,
    );
    assert.equal(await count(), 30);
    assert.deepEqual(
      db.events.map((event) => event.value),
      Array.from({ length: 40 }, (_, index) => index)
        .filter((index) => index % 4 !== 3)
        .map((index) => ({ name: `n${index}` })),
    );
  });

  test("undoes what a transaction wrote after it had read, and commits its neighbours", async () => {
    const outcomes = await Promise.allSettled(
      Array.from({ length: 8 }, (_, index) =>
        db.database.transaction(async (tx) => {
          assert.equal(await tx.em.count(Note, { name: `n${index}` }), 0);
          await Promise.all([
            tx.em.insert(Note, { name: `n${index}`, text: "" }),
            tx.em.insert(Note, { name: `m${index}`, text: "" }),
          ]);
          if (index % 2 === 1) throw new MezError("CONFLICT", "no");
        }),
      ),
    );
    assert.equal(outcomes.filter(({ status }) => status === "rejected").length, 4);
    assert.equal(await count(), 8);
  });

  test("begins no savepoint for a transaction that reads, and writes nothing but an audit record", async () => {
    const connection = await db.database.transaction(async ({ em }) => em.getConnection());
    const native = (await (connection as SqliteConnection).getNativeClient()) as { prepare: (sql: string) => unknown };
    const { prepare } = native;
    const statements: string[] = [];
    native.prepare = (sql) => {
      statements.push(sql);
      return prepare(sql);
    };
    const seen = async (work: (tx: Transaction) => Promise<unknown>): Promise<number> => {
      statements.length = 0;
      await db.database.transaction(work);
      return statements.filter((sql) => sql.endsWith("savepoint job")).length;
    };
    try {
      const audit = { type: "note.created", resourceName: "a" } as const;
      const reads = await seen(async (tx) => {
        await tx.em.count(Note);
        tx.audit(audit);
      });
      const writes = await seen((tx) => tx.em.insert(Note, { name: "a", text: "" }));
      assert.deepEqual([reads, writes], [0, 2]);
    } finally {
      native.prepare = prepare;
    }
  });

  for (const goesOn of [false, true])
    test(`a query that is refused fails its transaction${goesOn ? ", also one that goes on," : ""} and leaves the queue working`, async () => {
      const before = db.database.transaction((tx) => tx.em.insert(Note, { name: "before", text: "" }));
      const refused = db.database.transaction(async (tx) => {
        const query = tx.em.getConnection().execute("select nothing from nowhere", [], "all", tx.em.getTransactionContext());
        if (goesOn) await query.catch(() => tx.em.insert(Note, { name: "inside", text: "" }));
        else await query;
      });
      const outcomes = await Promise.allSettled([before, refused]);
      await db.database.transaction((tx) => tx.em.insert(Note, { name: "after", text: "" }));
      assert.equal(outcomes[1].status, goesOn ? "fulfilled" : "rejected");
      assert.equal(await count(), 1 + outcomes.filter(({ status }) => status === "fulfilled").length);
    });

  test("a taken key is ALREADY_EXISTS", async () => {
    const add = () => db.database.transaction(async (tx) => void tx.em.persist(tx.em.create(Note, { name: "a", text: "" })));
    await add();
    await assert.rejects(add(), (error) => isMezError(error, "ALREADY_EXISTS"));
  });

  test("refuses a transaction inside a transaction, which would wait for itself", async () => {
    await assert.rejects(
      db.database.transaction(() => db.database.transaction(async () => 1)),
      (error) => isMezError(error, "INTERNAL"),
    );
  });

  test("reads the last commit while a transaction is open, also inside it", async () => {
    await db.database.transaction(async (tx) => {
      await tx.em.insert(Note, { name: "a", text: "" });
      assert.equal(await count(), 0);
      assert.equal(await tx.em.count(Note), 1);
      const [row] = await db.database.read((em) => em.getConnection("read").execute("select count(*) as n from notes"));
      assert.deepEqual(row, { n: 0 });
    });
    assert.equal(await count(), 1);
  });

  for (const [what, isPrepared] of [
    ["that asked for it is held to it, and everything is undone", true],
    ["that did not may wait", false],
  ] as const)
    test(`an audit sink has to send all it writes at once: one ${what}`, async (t) => {
      const append: AuditSink["append"] = async (_events, em) => {
        await em.count(Note);
        await new Promise(setImmediate);
        await em.insert(Note, { name: "audited", text: "" });
      };
      const sink: AuditSink = isPrepared ? { prepare: async () => {}, append } : { append };
      const own = await openTestDatabase({
        entities: [Note],
        migrations: [{ name: "001-notes", class: CreateNotes }],
        sinks: [sink],
      });
      t.after(() => own.close());
      const write = own.database.transaction(async (tx) => {
        await tx.em.insert(Note, { name: "a", text: "" });
        tx.audit({ type: "note.created", resourceName: "a" });
      });
      if (isPrepared)
        await assert.rejects(write, (error) => /a statement came when its transaction was about to end/.test(inspect(error)));
      else await write;
      assert.equal(await own.database.read((em) => em.count(Note)), isPrepared ? 0 : 2);
      await own.database.transaction((tx) => tx.em.insert(Note, { name: "next", text: "" }));
    });

  test("a reader cannot write", async () => {
    await assert.rejects(
      db.database.read((em) => em.insert(Note, { name: "a", text: "" })),
      (error) => isMezError(error, "STORAGE_UNWRITABLE"),
    );
  });

  test("a full disk fails the transactions it hits and leaves the queue working", async () => {
    const raw = (sql: string) =>
      db.database.transaction((tx) => tx.em.getConnection().execute(sql, [], "all", tx.em.getTransactionContext()));
    const [{ page_count: pages }] = (await raw("pragma page_count")) as [{ page_count: number }];
    await raw(`pragma max_page_count = ${pages + 2}`);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 8 }, (_, index) =>
        db.database.transaction((tx) => tx.em.insert(Note, { name: `n${index}`, text: "x".repeat(3000) })),
      ),
    );
    await raw("pragma max_page_count = 1000000");
    assert.ok(outcomes.some((outcome) => outcome.status === "rejected" && isMezError(outcome.reason, "STORAGE_FULL")));
    assert.equal(await count(), outcomes.filter((outcome) => outcome.status === "fulfilled").length);
    await db.database.transaction((tx) => tx.em.insert(Note, { name: "after", text: "" }));
  });
});
