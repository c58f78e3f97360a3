import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { defineEntity, p } from "@mikro-orm/core";
import { Migration } from "@mikro-orm/migrations";
import { isMezError } from "../../core/errors/error.js";
import type { OutboxRow } from "../../core/events/outbox.js";
import type { AuditEvent } from "../../core/plugin/audit.js";
import type { CollectionKind } from "../../core/plugin/collection.js";
import type { EventType } from "../../core/plugin/contract.js";
import type { StorageDriver } from "../../core/ports/storage-driver.js";
import { type OpenDatabase, openDatabase } from "../../core/storage/database.js";
import { systemClock } from "../../core/time/clock.js";

const Account = defineEntity({
  name: "ContractAccount",
  tableName: "contract_accounts",
  properties: {
    name: p.text().primary(),
    balance: p.bigint("number"),
    openedAt: p.datetime(3),
    active: p.boolean(),
    note: p.text().nullable(),
  },
});

const Transfer = defineEntity({
  name: "ContractTransfer",
  tableName: "contract_transfers",
  properties: { id: p.text().primary(), account: p.text() },
});

class CreateAccounts extends Migration {
  override up(): void {
    this.addSql(
      "create table contract_accounts (name text primary key, balance bigint not null, opened_at timestamptz not null, active boolean not null, note text)",
    );
    this.addSql(
      "create table contract_transfers (id text primary key, account text not null references contract_accounts (name))",
    );
  }
}

const OPENED: EventType<{ n: number }> = { name: "opened", version: 1 };
const ACCOUNTS: CollectionKind<number> = { name: "accounts", version: 1, visibleTo: () => true };

/**
 * What every storage driver must do, with the core's transactions and migrations on top of it.
 * @param create A driver for one and the same empty database each time, and the way to remove it.
 */
export function storageDriverContract(
  name: string,
  create: () => Promise<{ readonly driver: () => StorageDriver; remove(): Promise<void> }>,
): void {
  suite(`storage driver ${name}`, () => {
    let place: Awaited<ReturnType<typeof create>>;
    let opened: OpenDatabase;
    let driver: StorageDriver;
    const rows: OutboxRow[] = [];
    const audits: AuditEvent[] = [];

    const adopted: OutboxRow[] = [];

    const open = async () => {
      driver = place.driver();
      const database = await openDatabase({
        driver,
        plugins: [{ id: "contract", entities: [Account, Transfer], migrations: [{ name: "001", class: CreateAccounts }] }],
        sinks: () => [{ append: async (events) => void audits.push(...events) }],
        clock: systemClock,
        clusterName: "contract",
        logger: { debug() {}, info() {}, warn() {}, error() {} },
        onCommitted: (committed) => rows.push(...committed),
        onAdopted: (events) => adopted.push(...events),
      });
      await database.follow();
      return database;
    };
    before(async () => {
      place = await create();
      opened = await open();
    });
    after(async () => {
      await opened.close();
      await place.remove();
    });

    const account = (name: string, balance = 0) => ({
      name,
      balance,
      openedAt: new Date("2026-01-02T03:04:05.678Z"),
      active: true,
      note: null,
    });
    const balance = (name: string) => opened.database.read(async (em) => (await em.findOneOrFail(Account, { name })).balance);

    test("gives back what was stored, to the millisecond and beyond 32 bits", async () => {
      const stored = { ...account("exact", 9_007_199_254_740_991), note: 'naïve "quotes" \' ? \\ 日本' };
      await opened.database.transaction((tx) => tx.em.insert(Account, stored));
      const { name, balance, openedAt, active, note } = await opened.database.read((em) =>
        em.findOneOrFail(Account, { name: "exact" }),
      );
      assert.deepEqual({ name, balance, openedAt, active, note }, stored);
    });

    test("a hundred transactions at once lose no update", async () => {
      await opened.database.transaction((tx) => tx.em.insert(Account, account("counter")));
      await Promise.all(
        Array.from({ length: 100 }, () =>
          opened.database.transaction(async (tx) => {
            const counter = await tx.em.findOneOrFail(Account, { name: "counter" });
            counter.balance += 1;
          }),
        ),
      );
      assert.equal(await balance("counter"), 100);
    });

    test("undoes everything of a failing transaction, and only that", async () => {
      const before = rows.length;
      const attempts = await Promise.allSettled(
        ["one", "two", "three"].map((name) =>
          opened.database.transaction(async (tx) => {
            await tx.em.insert(Account, account(name));
            tx.emit(OPENED, { n: 1 });
            tx.put(ACCOUNTS, name, 0);
            tx.audit({ type: "account.opened", resourceName: name });
            if (name === "two") throw new Error("no");
          }),
        ),
      );
      assert.deepEqual(
        attempts.map((attempt) => attempt.status),
        ["fulfilled", "rejected", "fulfilled"],
      );
      assert.deepEqual(await opened.database.read((em) => em.count(Account, { name: { $in: ["one", "two", "three"] } })), 2);
      assert.deepEqual(
        rows.slice(before).map((row) => [row.topic, row.key]),
        [
          ["event:opened@1", null],
          ["collection:accounts@1", "one"],
          ["event:opened@1", null],
          ["collection:accounts@1", "three"],
        ],
      );
      assert.deepEqual(
        audits.map((event) => event.resourceName),
        ["one", "three"],
      );
    });

    test("names broken constraints", async () => {
      await opened.database.transaction((tx) => tx.em.insert(Account, account("taken")));
      await assert.rejects(
        opened.database.transaction((tx) => tx.em.insert(Account, account("taken"))),
        (error) => isMezError(error, "ALREADY_EXISTS"),
      );
      await assert.rejects(
        opened.database.transaction((tx) => tx.em.insert(Transfer, { id: "t", account: "nobody" })),
        (error) => isMezError(error, "CONFLICT"),
      );
    });

    test("readers see commits only", async () => {
      await opened.database.transaction(async (tx) => {
        await tx.em.insert(Account, account("hidden"));
        assert.equal(await opened.database.read((em) => em.count(Account, { name: "hidden" })), 0);
      });
      assert.equal(await opened.database.read((em) => em.count(Account, { name: "hidden" })), 1);
    });

    test("flushes several times at once, also when there is nothing to be flushed, and beside transactions", async () => {
      const writing = opened.database.transaction((tx) => tx.em.insert(Account, account("flushed")));
      await Promise.all([driver.flush?.(), driver.flush?.(), writing]);
      await driver.flush?.();
      await driver.upkeep?.();
      assert.equal(await balance("flushed"), 0);
    });

    test("other work goes on while many transactions wait", async () => {
      let turns = 0;
      const timer = setInterval(() => (turns += 1), 1);
      await Promise.all(
        Array.from({ length: 500 }, (_, index) =>
          opened.database.transaction((tx) => tx.em.insert(Account, account(`many-${index}`))),
        ),
      );
      clearInterval(timer);
      assert.ok(turns > 0);
    });

    test("everything is there after closing and opening again, undelivered events too", async () => {
      const waiting = rows.filter(({ topic }) => topic.startsWith("event:")).map(({ seq }) => seq);
      await opened.close();
      adopted.length = 0;
      opened = await open();
      assert.equal(await balance("counter"), 100);
      const left = async () => [...adopted, ...(await opened.outbox.pending())].filter(({ topic }) => topic.startsWith("event:"));
      assert.deepEqual(
        (await left()).map(({ seq }) => seq),
        waiting,
      );
      opened.outbox.delivered([...adopted, ...(await opened.outbox.pending())]);
      await opened.database.transaction((tx) => tx.em.insert(Account, account("after")));
      await opened.close();
      adopted.length = 0;
      opened = await open();
      assert.deepEqual(await left(), []);
    });
  });
}
