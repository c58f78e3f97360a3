import assert from "node:assert/strict";
import { after, before, beforeEach, suite, test } from "node:test";
import { inspect } from "node:util";
import { defineEntity, type EntityManager, p } from "@mikro-orm/core";
import { Migration } from "@mikro-orm/migrations";
import { isMezError, MezError } from "../../core/errors/error.js";
import type { OutboxRow } from "../../core/events/outbox.js";
import type { CollectionKind } from "../../core/plugin/collection.js";
import type { EventType } from "../../core/plugin/contract.js";
import type { Migrations } from "../../core/plugin/database.js";
import type { AuditSink } from "../../core/ports/audit-sink.js";
import type { StorageDriver } from "../../core/ports/storage-driver.js";
import { type OpenDatabase, openDatabase } from "../../core/storage/database.js";
import { systemClock } from "../../core/time/clock.js";
import { eventually } from "../fixtures/eventually.js";
import { silentLogger } from "../fixtures/silent-logger.js";

const Voucher = defineEntity({
  name: "SharedVoucher",
  tableName: "shared_vouchers",
  properties: { code: p.text().primary(), uses: p.integer() },
});

class CreateVouchers extends Migration {
  override up(): void {
    this.addSql("create table shared_vouchers (code text primary key, uses integer not null)");
  }
}

const USED: EventType<string> = { name: "used", version: 1 };
const VOUCHERS: CollectionKind<string> = { name: "vouchers", version: 1, visibleTo: () => true };

class AddNotes extends Migration {
  override up(): void {
    this.addSql("alter table shared_vouchers add column note text");
  }
}

class CreateHotTable extends Migration {
  override up(): void {
    this.addSql("create table shared_hot (id integer primary key)");
  }
}

class CreatePack extends Migration {
  override up(): void {
    this.addSql("create table shared_pack (id integer primary key)");
  }
}

class GrowPack extends Migration {
  override up(): void {
    this.addSql("alter table shared_pack add column size integer");
  }
}

const FIRST_OF_PACK: Migrations[number] = { name: "001", class: CreatePack };
const SECOND_OF_PACK: Migrations[number] = { name: "002", class: GrowPack };
const RELEASED: Migrations[number] = { name: "001", class: CreateVouchers };

/** One of the servers that share a database, and what it heard. */
interface Server {
  readonly open: OpenDatabase;
  readonly heard: OutboxRow[];
  readonly adopted: OutboxRow[];
  sinks: readonly AuditSink[];
  lost: number;
}

export interface SharedPlace {
  driver(): StorageDriver;
  /** Runs statements beside all servers. */
  sql(text: string): Promise<void>;
  remove(): Promise<void>;
}

/**
 * What a storage driver must do that says it can be shared, with the core on top of it.
 * @param create An empty database each time. A transaction of it may be silent for two seconds at most.
 */
export function sharedStorageContract(name: string, create: () => Promise<SharedPlace>): void {
  suite(`several servers on storage driver ${name}`, () => {
    let place: SharedPlace;
    let servers: Server[] = [];
    let a: Server;
    let b: Server;

    const join = async (migrations: Migrations = [RELEASED]): Promise<Server> => {
      const server = { heard: [] as OutboxRow[], adopted: [] as OutboxRow[], sinks: [] as readonly AuditSink[], lost: 0 };
      const open = await openDatabase({
        driver: place.driver(),
        plugins: [{ id: "shared", entities: [Voucher], migrations }],
        sinks: () => server.sinks,
        clock: systemClock,
        clusterName: "shared",
        logger: silentLogger,
        onCommitted: (rows) => server.heard.push(...rows),
        onAdopted: (rows) => server.adopted.push(...rows),
        onLost: async () => {
          server.lost += 1;
        },
      });
      await open.follow();
      const joined = Object.assign(server, { open });
      servers.push(joined);
      return joined;
    };
    before(async () => {
      place = await create();
      // Both at once, on an empty database.
      [a, b] = await Promise.all([join(), join()]);
    });
    beforeEach(() => {
      for (const server of servers) server.heard.length = 0;
    });
    after(async () => {
      for (const { open } of servers) await open.close();
      await place.remove();
    });

    const add = (server: Server, code: string) =>
      server.open.database.transaction(async (tx) => {
        await tx.em.insert(Voucher, { code, uses: 0 });
        tx.put(VOUCHERS, code, "new");
      });
    /** A read, a decision and a write: what a single writer makes safe. */
    const use = (server: Server, code: string, times: number) =>
      server.open.database.transaction(async (tx) => {
        const voucher = await tx.em.findOneOrFail(Voucher, { code });
        if (voucher.uses >= times) throw new MezError("CONFLICT", "used up");
        await tx.em.nativeUpdate(Voucher, { code }, { uses: voucher.uses + 1 });
        tx.emit(USED, code);
      });

    test("each writer reads what the one before it wrote, whichever server it was on", async () => {
      await add(a, "counter");
      await Promise.all(Array.from({ length: 200 }, (_, n) => use(n % 2 === 0 ? a : b, "counter", 1000)));
      const { uses } = await b.open.database.read((em) => em.findOneOrFail(Voucher, { code: "counter" }));
      assert.equal(uses, 200);
    });

    test("of fifty who use a voucher for one, one does", async () => {
      await add(a, "single");
      const tries = await Promise.allSettled(Array.from({ length: 50 }, (_, n) => use(n % 2 === 0 ? a : b, "single", 1)));
      assert.equal(tries.filter(({ status }) => status === "fulfilled").length, 1);
      for (const tried of tries) if (tried.status === "rejected") assert.ok(isMezError(tried.reason, "CONFLICT"));
    });

    test("of two who make the same entry, one does", async () => {
      const made = await Promise.allSettled([add(a, "same"), add(b, "same")]);
      assert.deepEqual(made.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
      const [failed] = made.filter(({ status }) => status === "rejected");
      assert.ok(failed?.status === "rejected" && isMezError(failed.reason, "ALREADY_EXISTS"));
    });

    test("each server hears every message once, in the order of the commits", async () => {
      await Promise.all(Array.from({ length: 100 }, (_, n) => add(n % 2 === 0 ? a : b, `message-${n}`)));
      await eventually(() => a.heard.length >= 100 && b.heard.length >= 100);
      assert.deepEqual(
        a.heard.map(({ seq, key }) => [seq, key]),
        b.heard.map(({ seq, key }) => [seq, key]),
      );
      const first = a.heard[0]?.seq ?? 0;
      assert.deepEqual(
        a.heard.map(({ seq }) => seq),
        Array.from({ length: 100 }, (_, n) => first + n),
      );
    });

    test("a writer has heard of everything before it when its work begins", async () => {
      await add(a, "before");
      const heard = await b.open.database.transaction(async () => b.heard.map(({ key }) => key));
      assert.ok(heard.includes("before"));
    });

    for (const [how, append] of [
      ["is refused by the database", (em) => insertRaw(em, "select 1 from nowhere")],
      ["breaks a key", (em) => insertRaw(em, "insert into shared_vouchers (code, uses) values ('audited', 0)")],
      ["is refused by its sink", () => Promise.reject(new Error("no"))],
    ] as const satisfies readonly (readonly [string, (em: EntityManager) => Promise<unknown>])[]) {
      test(`nothing is committed, told or numbered whose audit record ${how}`, async () => {
        await add(a, `before: ${how}`);
        const writes = () =>
          a.open.database.transaction(async (tx) => {
            await tx.em.insert(Voucher, { code: "audited", uses: 0 });
            tx.put(VOUCHERS, "audited", "new");
            tx.audit({ type: "voucher.add" });
          });
        a.sinks = [{ prepare: async () => {}, append: async (_events, em) => void (await append(em)) }];
        await assert.rejects(writes());
        a.sinks = [];
        assert.equal(await b.open.database.read((em) => em.count(Voucher, { code: "audited" })), 0);
        await add(a, `after: ${how}`);
        await eventually(() => b.heard.some(({ key }) => key === `after: ${how}`));
        assert.ok(!b.heard.some(({ key }) => key === "audited"));
        const [before, after] = b.heard.slice(-2);
        assert.equal((after?.seq ?? 0) - (before?.seq ?? 0), 1);
        assert.equal(b.lost, 0);
      });
    }

    test("a sink that sends a statement after the commit is refused, and the caller hears of it", async () => {
      a.sinks = [
        {
          prepare: async () => {},
          append: async (_events, em) => {
            await em.count(Voucher);
            await em.insert(Voucher, { code: "too late", uses: 0 });
          },
        },
      ];
      const write = a.open.database.transaction(async (tx) => tx.audit({ type: "voucher.add" }));
      await assert.rejects(write, (error) => /a statement came when its transaction was about to end/.test(inspect(error)));
      a.sinks = [];
      assert.equal(await b.open.database.read((em) => em.count(Voucher, { code: "too late" })), 0);
      await add(a, "after the late one");
      await eventually(() => b.heard.some(({ key }) => key === "after the late one"));
    });

    test("a server that has not written hears of the last of many commits, which follow each other closely", async () => {
      for (let n = 0; n < 50; n += 1) await add(a, `close-${n}`);
      await eventually(() => b.heard.some(({ key }) => key === "close-49"));
    });

    test("an event has one server that delivers it, also after that one has gone", async () => {
      const c = await join();
      await add(c, "left");
      await use(c, "left", 1);
      const [event] = c.heard.filter(({ topic }) => topic.startsWith("event:"));
      assert.ok(event !== undefined);
      const copy = await eventually(() => a.heard.find(({ seq }) => seq === event.seq));
      assert.deepEqual([await c.open.outbox.isOurs(event), await a.open.outbox.isOurs(copy)], [true, false]);
      for (const { adopted } of servers) adopted.length = 0;
      await c.open.close();
      servers = servers.filter((server) => server !== c);
      await eventually(() => servers.some(({ adopted }) => adopted.some(({ seq }) => seq === event.seq)));
      assert.equal(servers.flatMap(({ adopted }) => adopted).filter(({ seq }) => seq === event.seq).length, 1);
    });

    test("a duty is one server's, until that one leaves", async () => {
      const had = await Promise.all(Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? a : b).open.duties.have("sweep")));
      assert.equal(new Set(had.map((has, n) => `${has}-${n % 2}`)).size, 2);
      const c = await join();
      assert.equal(await c.open.duties.have("other"), true);
      assert.equal(await a.open.duties.have("other"), false);
      await c.open.close();
      servers = servers.filter((server) => server !== c);
      assert.equal(await a.open.duties.have("other"), true);
    });

    for (const [what, seq] of [
      ["has missed messages", "last_seq + 5"],
      ["is shown an older state", "last_seq - 1"],
      ["is shown another history", "last_seq"],
    ] as const) {
      test(`a server that ${what} says so once and goes on`, async () => {
        await add(a, `before: ${what}`);
        await eventually(() => b.heard.some(({ key }) => key === `before: ${what}`));
        const before = [a.lost, b.lost];
        await place.sql(
          `begin; update outbox_head set last_seq = ${seq}, commit_id = '${what}'; delete from outbox; insert into outbox (seq, topic, removed, commit_id) select last_seq, 'collection:vouchers@1', false, commit_id from outbox_head; commit`,
        );
        await eventually(() => a.lost > (before[0] ?? 0) && b.lost > (before[1] ?? 0));
        await add(a, `after: ${what}`);
        await eventually(() => b.heard.some(({ key }) => key === `after: ${what}`));
        assert.deepEqual(
          [a.lost, b.lost],
          before.map((count) => count + 1),
        );
      });
    }

    test("a server that falls silent inside a transaction holds the others up no longer than it may", async () => {
      const [begun, silence] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const frozen = a.open.database.transaction(async (tx) => {
        await tx.em.insert(Voucher, { code: "frozen", uses: 0 });
        begun.resolve();
        await silence.promise;
        await tx.em.insert(Voucher, { code: "thawed", uses: 0 });
      });
      frozen.catch(() => "looked at below");
      await begun.promise;
      await add(b, "meanwhile");
      silence.resolve();
      await assert.rejects(frozen, (error) => isMezError(error, "UNAVAILABLE"));
      assert.equal(await b.open.database.read((em) => em.count(Voucher, { code: { $in: ["frozen", "thawed"] } })), 0);
      await add(a, "awake");
    });

    test("a plugin that brings tables to one server while it runs leaves the others as they are", async () => {
      const migrations = [{ name: "001", class: CreateHotTable }];
      await a.open.addPlugin({ id: "hot", entities: [], migrations });
      await Promise.all([add(a, "hot here"), add(b, "hot there")]);
      assert.ok(b.open.silentSeconds() < 60);
    });

    test("when a package is upgraded on one server, writes of another wait until it has followed", async () => {
      const version = (...migrations: Migrations) => ({ id: "pack", entities: [], isPackage: true, migrations });
      for (const server of [a, b]) await server.open.addPlugin(version(FIRST_OF_PACK));
      await a.open.addPlugin(version(FIRST_OF_PACK, SECOND_OF_PACK));
      await add(a, "upgraded");
      let isWritten = false;
      const writing = add(b, "waits").then(() => {
        isWritten = true;
      });
      await eventually(() => b.open.silentSeconds() > 1);
      assert.equal(isWritten, false);
      await b.open.addPlugin(version(FIRST_OF_PACK, SECOND_OF_PACK));
      await writing;
      await eventually(() => b.open.silentSeconds() < 1);
    });

    // The last one: the servers from before are of no use afterwards.
    test("when a server of a newer release changes tables, older ones lose no write and answer no more", async () => {
      const written: string[] = [];
      const writer = async (server: Server, name: string): Promise<unknown> => {
        for (let n = 0; ; n += 1) {
          try {
            await add(server, `${name}-${n}`);
          } catch (error) {
            return error;
          }
          written.push(`${name}-${n}`);
        }
      };
      const writers = [writer(a, "a"), writer(b, "b")];
      const newer = await join([RELEASED, { name: "002", class: AddNotes }]);
      for (const ended of await Promise.all(writers)) assert.ok(isMezError(ended, "STORAGE_NEWER"), String(ended));
      for (const older of [a, b]) assert.equal(older.open.silentSeconds(), Number.POSITIVE_INFINITY);
      await add(newer, "after");
      const stored = await newer.open.database.read((em) => em.count(Voucher, { code: { $in: written } }));
      assert.deepEqual([stored, written.length > 0], [written.length, true]);
      await assert.rejects(join(), (error) => isMezError(error, "STORAGE_NEWER"));
    });
  });
}

// --- internal ---

function insertRaw(em: EntityManager, sql: string): Promise<unknown> {
  return em.getConnection().execute(sql, [], "run", em.getTransactionContext());
}
