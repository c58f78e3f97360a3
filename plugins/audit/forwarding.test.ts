import assert from "node:assert/strict";
import { afterEach, beforeEach, suite, test } from "node:test";
import type { AuditForwarder, ForwardedEvent } from "../../core/ports/audit-forwarder.js";
import { systemClock } from "../../core/time/clock.js";
import { openTestDatabase, type TestDatabase } from "../../test/fixtures/database.js";
import { eventually } from "../../test/fixtures/eventually.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { AUDIT_MIGRATIONS } from "./audit-migrations.js";
import { AUDIT_ENTITIES, readChain, removeUpTo } from "./audit-repository.js";
import { DatabaseAuditSink } from "./database-audit-sink.js";
import { Forwarding } from "./forwarding.js";

/** Takes events, unless it is told to fail or to hang. */
class FakeForwarder implements AuditForwarder {
  readonly taken: ForwardedEvent[] = [];
  mood: "takes" | "fails" | "hangs" = "takes";
  constructor(readonly repeatSeconds?: number) {}

  async deliver(events: readonly ForwardedEvent[]): Promise<void> {
    if (this.mood === "fails") throw new Error("no room");
    if (this.mood === "hangs") await new Promise<never>(() => undefined);
    this.taken.push(...events);
  }

  get seqs(): readonly number[] {
    return this.taken.map(({ seq }) => seq);
  }
}

suite("forwarding of audit events", () => {
  let db: TestDatabase;
  let forwarding: Forwarding;
  let hasDuty = true;
  let wake: () => void = () => undefined;
  const forwarders = new Map<string, AuditForwarder>();
  beforeEach(async () => {
    forwarders.clear();
    hasDuty = true;
    db = await openTestDatabase({
      entities: AUDIT_ENTITIES,
      migrations: AUDIT_MIGRATIONS,
      sinks: [new DatabaseAuditSink(() => wake())],
    });
  });
  afterEach(async () => {
    await forwarding?.dispose();
    await db.close();
  });

  async function begin(entries: Readonly<Record<string, AuditForwarder>>): Promise<void> {
    for (const [name, forwarder] of Object.entries(entries)) forwarders.set(name, forwarder);
    forwarding = new Forwarding({
      duties: { have: async () => hasDuty },
      names: () => [...forwarders.keys()],
      forwarder: (name) => forwarders.get(name) as AuditForwarder,
      database: db.database,
      clock: systemClock,
      logger: silentLogger,
      times: { gatherMs: 1, idleMs: 60_000, retryMs: 5, maxRetryMs: 20, deliveryMs: 300 },
    });
    wake = () => forwarding.wake();
    await forwarding.start();
    const placed = () => db.database.read((em) => em.getConnection().execute<unknown[]>("select name from audit_cursors"));
    await eventually(async () => (await placed()).length === forwarders.size);
  }

  async function write(count: number): Promise<void> {
    await Promise.all(
      Array.from({ length: count }, () => db.database.transaction(async (tx) => tx.audit({ type: "user.login" }))),
    );
  }

  const upTo = (count: number, from = 1) => Array.from({ length: count - from + 1 }, (_, index) => index + from);

  test("leaves it to another server, knows how far that one is, and takes over from there", async () => {
    const one = new FakeForwarder();
    await begin({ one });
    await write(3);
    await eventually(() => one.taken.length === 3);
    await forwarding.dispose();
    hasDuty = false;
    const idle = begin({ one });
    await idle;
    await write(2);
    await eventually(() => forwarding.takenSeq() === 3);
    assert.equal(one.taken.length, 3);
    hasDuty = true;
    wake();
    await eventually(() => one.taken.length === 5);
  });

  test("gives no more at once than a web server takes", async () => {
    const calls: number[] = [];
    const one = new FakeForwarder();
    const deliver = one.deliver.bind(one);
    one.deliver = (events) => {
      calls.push(events.reduce((sum, { json }) => sum + json.length, 0));
      return deliver(events);
    };
    await begin({ one });
    const metadata = { text: "x".repeat(60_000) };
    await db.database.transaction(async (tx) => {
      for (let count = 0; count < 30; count += 1) tx.audit({ type: "user.login", metadata });
    });
    await eventually(() => one.taken.length === 30);
    assert.deepEqual(one.seqs, upTo(30));
    assert.ok(calls.every((characters) => characters < 512 * 1024));
  });

  test("gives each of them every event from then on, in order", async () => {
    await write(3);
    const [one, two] = [new FakeForwarder(), new FakeForwarder()];
    await begin({ one, two });
    await write(450);
    await eventually(() => one.taken.length === 450 && two.taken.length === 450);
    assert.deepEqual(one.seqs, upTo(453, 4));
    const { id, type, code, json } = one.taken[0] as ForwardedEvent;
    assert.deepEqual([type, code, JSON.parse(json).id, JSON.parse(json).seq], ["user.login", "MZ1000", id, 4]);
  });

  for (const mood of ["fails", "hangs"] as const) {
    test(`one that ${mood} holds nobody up, says so, and gets everything later`, async () => {
      const [good, bad] = [new FakeForwarder(), new FakeForwarder()];
      bad.mood = mood;
      await begin({ bad, good });
      await write(300);
      await eventually(() => good.taken.length === 300);
      const failing = await eventually(() => forwarding.states().find(({ failure }) => failure !== null));
      assert.equal(failing.name, "bad");
      assert.match(failing.failure?.message ?? "", mood === "fails" ? /no room/ : /in time/);
      assert.equal(forwarding.takenSeq(), 0);
      bad.mood = "takes";
      await eventually(() => bad.taken.length === 300);
      assert.deepEqual(bad.seqs, upTo(300));
      await eventually(() => forwarding.states().every(({ failure }) => failure === null));
    });
  }

  test("goes on after a restart where it was", async () => {
    const file = new FakeForwarder();
    await begin({ file });
    await write(5);
    await eventually(() => file.taken.length === 5);
    await forwarding.dispose();
    await write(5);
    await begin({ file });
    await eventually(() => file.taken.length === 10);
    assert.deepEqual(file.seqs, upTo(10));
  });

  test("repeats what was sent shortly before a failure, where the protocol has no receipts", async () => {
    const syslog = new FakeForwarder(60);
    await begin({ syslog });
    await write(5);
    await eventually(() => syslog.taken.length === 5);
    syslog.mood = "fails";
    await write(1);
    await eventually(() => forwarding.states()[0]?.failure);
    syslog.mood = "takes";
    await eventually(() => syslog.seqs.at(-1) === 6);
    assert.deepEqual(syslog.seqs, [...upTo(5), ...upTo(6)]);
  });

  test("counts what was removed before it was taken", async () => {
    const late = new FakeForwarder();
    late.mood = "fails";
    await begin({ late });
    await write(5);
    await eventually(() => forwarding.states()[0]?.failure);
    const last = (await db.database.read((em) => readChain(em, 2, 1)))[0];
    assert.ok(last);
    await db.database.transaction((tx) => removeUpTo(tx.em, last));
    late.mood = "takes";
    await eventually(() => late.taken.length === 2);
    assert.deepEqual([late.seqs, forwarding.states()[0]?.missed], [[4, 5], 3]);
  });
});
