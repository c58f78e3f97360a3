import assert from "node:assert/strict";
import { after, beforeEach, suite, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import type { Caller } from "../../core/plugin/caller.js";
import type { CallContext } from "../../core/plugin/rpc.js";
import { systemClock } from "../../core/time/clock.js";
import type { AuditEvent as WireEvent } from "../../proto/gen/mezite/audit/v1/audit.js";
import { testAuditSink } from "../../test/contracts/audit-sink.js";
import { testArchive } from "../../test/fixtures/audit-archive.js";
import { openTestDatabase, type TestDatabase } from "../../test/fixtures/database.js";
import { AUDIT_MIGRATIONS } from "./audit-migrations.js";
import { AUDIT_ENTITIES, readHead } from "./audit-repository.js";
import { auditHandlers } from "./audit-rpc.js";
import { type ChainVerdict, ChainVerifier } from "./chain-verifier.js";
import { DatabaseAuditSink } from "./database-audit-sink.js";

const node: Caller = {
  kind: "agent",
  id: "id-of-web-01",
  name: "web-01",
  role: "node",
  certificateSerial: "1",
  certificateExpiresAt: new Date("2030-01-01"),
};
const call = (caller: Caller): CallContext => ({
  caller,
  clientAddress: "192.0.2.1",
  serverFingerprint: null,
  signal: new AbortController().signal,
});

testAuditSink("database", async () => ({
  sink: new DatabaseAuditSink(),
  entities: AUDIT_ENTITIES,
  migrations: AUDIT_MIGRATIONS,
  count: async (em) => (await readHead(em))?.seq ?? 0,
  close: async () => {},
}));

suite("audit log", () => {
  let db: TestDatabase;
  let handlers: ReturnType<typeof auditHandlers>;
  beforeEach(async () => {
    await db?.close();
    db = await openTestDatabase({
      entities: AUDIT_ENTITIES,
      migrations: AUDIT_MIGRATIONS,
      sinks: [new DatabaseAuditSink()],
    });
    handlers = auditHandlers({
      database: db.database,
      clock: systemClock,
      archive: testArchive(db.database),
      forwarding: { states: () => [] },
      eventTypes: () => ["user.login"],
    });
  });
  after(() => db.close());

  async function write(count: number): Promise<void> {
    await Promise.all(
      Array.from({ length: count }, (_, index) =>
        db.database.transaction(async (tx) =>
          tx.audit({
            type: index % 2 === 0 ? "user.login" : "session.start",
            userName: index % 3 === 0 ? "alice" : "bob",
            userRoles: ["b", "a"],
            resourceName: `r${index}`,
            resourceLabels: { z: "1", a: "nul\0 \ud800" },
            metadata: { index },
            occurredAt: new Date(Date.UTC(2026, 0, 1) + Math.floor(index / 4) * 1000),
          }),
        ),
      ),
    );
  }

  const sql = (statement: string) =>
    db.database.transaction((tx) => tx.em.getConnection().execute(statement, [], "run", tx.em.getTransactionContext()));

  async function verify(verifier = new ChainVerifier(db.database, 7)): Promise<ChainVerdict> {
    const steps = verifier.verify();
    for (;;) {
      const step = await steps.next();
      if (step.done) return step.value;
    }
  }

  async function pages(request: Partial<Parameters<typeof handlers.listEvents>[0]>): Promise<WireEvent[]> {
    const events: WireEvent[] = [];
    let pageToken = "";
    do {
      const page = await handlers.listEvents({ eventType: "", userName: "", pageSize: 3, ...request, pageToken }, call(node));
      assert.ok(page.events.length <= 3);
      events.push(...page.events);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    return events;
  }

  test("an untouched chain is intact, an empty one too", async () => {
    assert.deepEqual(await verify(), { intact: true, checked: 0, unchecked: 0 });
    await write(20);
    assert.deepEqual(await verify(), { intact: true, checked: 20, unchecked: 0 });
  });

  for (const [damage, statements, firstBad, reason] of [
    ["a changed field", ["update audit_events set user_name = 'mallory' where seq = 9"], 9, /changed/],
    ["a changed time", ["update audit_events set timestamp = timestamp + 1 where seq = 9"], 9, /changed/],
    ["a changed hash", ["update audit_events set hash = substr(hash, 2) || '0' where seq = 9"], 9, /changed/],
    ["a removed row", ["delete from audit_events where seq = 9"], 9, /event 9 is missing/],
    ["removed rows at the beginning", ["delete from audit_events where seq < 4"], 1, /events 1 to 3 are missing/],
    [
      "two rows that changed places",
      [
        "update audit_events set seq = 99 where seq = 9",
        "update audit_events set seq = 9 where seq = 10",
        "update audit_events set seq = 10 where seq = 99",
      ],
      9,
      /changed or moved/,
    ],
    ["a removed end", ["delete from audit_events where seq > 17"], 18, /events 18 to 20 are missing at the end/],
    ["everything removed", ["delete from audit_events"], 1, /events 1 to 20 are missing/],
    ["a head set back", ["update audit_head set last_seq = 10"], 10, /not the one/],
    ["a head that is gone", ["delete from audit_head"], 1, /record of the last event/],
  ] as const) {
    test(`finds ${damage}`, async () => {
      await write(20);
      for (const statement of statements) await sql(statement);
      const verdict = await verify();
      assert.ok(!verdict.intact);
      assert.equal(verdict.firstBad, firstBad);
      assert.match(verdict.reason, reason);
    });
  }

  test("finds an end that was removed together with its record, if it was verified before", async () => {
    await write(20);
    const verifier = new ChainVerifier(db.database);
    await verify(verifier);
    await sql("delete from audit_events where seq > 10");
    await sql("update audit_head set last_seq = 10, last_hash = (select hash from audit_events where seq = 10)");
    assert.equal((await verify()).intact, true);
    const verdict = await verify(verifier);
    assert.ok(!verdict.intact);
    assert.equal(verdict.firstBad, 11);
  });

  test("a change that fails leaves no event and no gap", async () => {
    await write(3);
    await assert.rejects(
      db.database.transaction(async (tx) => {
        tx.audit({ type: "user.created" });
        throw new Error("no");
      }),
    );
    await write(3);
    assert.deepEqual(await verify(), { intact: true, checked: 6, unchecked: 0 });
  });

  test("pages hold every event once, newest first", async () => {
    await write(20);
    const events = await pages({});
    assert.deepEqual(
      events.map((event) => event.resourceName),
      Array.from({ length: 20 }, (_, index) => `r${19 - index}`),
    );
    const { userRoles, resourceLabels, metadataJson, eventCode, clusterName } = events[0] as WireEvent;
    assert.deepEqual(
      { userRoles, resourceLabels, metadataJson, eventCode, clusterName },
      {
        userRoles: ["b", "a"],
        resourceLabels: { a: "nul\ufffd \ufffd", z: "1" },
        metadataJson: '{"index":19}',
        eventCode: "MZ2000",
        clusterName: "test",
      },
    );
  });

  for (const [name, request, expected] of [
    ["a type", { eventType: "user.login" }, 10],
    ["the beginning of a type", { eventType: "session.*" }, 10],
    ["a user", { userName: "alice" }, 7],
    ["a type and a user", { eventType: "user.login", userName: "alice" }, 4],
    ["a time", { since: new Date("2026-01-01T00:00:01Z"), until: new Date("2026-01-01T00:00:03Z") }, 8],
    ["nothing that exists", { userName: "%" }, 0],
  ] as const) {
    test(`lists by ${name}`, async () => {
      await write(20);
      assert.equal((await pages(request)).length, expected);
    });
  }

  for (const [name, request] of [
    ["a page token from elsewhere", { eventType: "", userName: "", pageSize: 3, pageToken: "abc" }],
    ["a page of 1001", { eventType: "", userName: "", pageSize: 1001, pageToken: "" }],
  ] as const) {
    test(`refuses ${name}`, () =>
      assert.rejects(handlers.listEvents(request, call(node)), (error) => isMezError(error, "INVALID_ARGUMENT")));
  }

  const reported: WireEvent = {
    id: "0b0e7a2c-6c0a-4a57-9d3c-0d0c7c9c6c11",
    eventType: "session.exec",
    eventCode: "",
    timestamp: new Date("2026-01-01T00:00:00Z"),
    clusterName: "elsewhere",
    userName: "alice",
    userRoles: [],
    impersonator: "",
    resourceType: "node",
    resourceName: "web-01",
    resourceLabels: {},
    serverId: "forged",
    serverHostname: "forged",
    clientIp: "192.0.2.9",
    sessionId: "s",
    success: true,
    errorMessage: "",
    metadataJson: '{"command":"true"}',
  };

  test("a report whose sender waits no more is left to the sender", async () => {
    const gone = { ...call(node), signal: AbortSignal.abort() };
    await assert.rejects(handlers.reportEvents({ events: [reported] }, gone), (error) => isMezError(error, "CANCELLED"));
    assert.deepEqual(
      (await pages({})).filter(({ id }) => id === reported.id),
      [],
    );
  });

  test("a report counts once however often it comes, and its sender is the one of the certificate", async () => {
    await Promise.all([1, 2, 3].map(() => handlers.reportEvents({ events: [reported, reported] }, call(node))));
    await handlers.reportEvents({ events: [reported] }, call(node));
    const [event, ...others] = await pages({});
    assert.equal(others.length, 0);
    assert.deepEqual(
      [event?.id, event?.serverId, event?.serverHostname, event?.clusterName, event?.metadataJson],
      [reported.id, "id-of-web-01", "web-01", "test", '{"command":"true"}'],
    );
    assert.equal((await verify()).intact, true);
  });

  for (const [name, change] of [
    ["a type that only the auth service may write", { eventType: "user.login" }],
    ["an id that is none", { id: "1" }],
    ["no time", { timestamp: undefined }],
    ["metadata that is no object", { metadataJson: "[]" }],
    ["metadata that is no JSON", { metadataJson: "{" }],
  ] as const) {
    test(`refuses a report with ${name}`, async () => {
      await assert.rejects(handlers.reportEvents({ events: [{ ...reported, ...change }] }, call(node)), (error) =>
        isMezError(error, "INVALID_ARGUMENT"),
      );
    });
  }

  test("refuses a report from anyone but an agent", async () => {
    await assert.rejects(handlers.reportEvents({ events: [reported] }, call({ kind: "anonymous" })), (error) =>
      isMezError(error, "ACCESS_DENIED"),
    );
  });
});
