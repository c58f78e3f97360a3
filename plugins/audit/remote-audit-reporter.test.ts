import assert from "node:assert/strict";
import { appendFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, suite, test } from "node:test";
import { MezError } from "../../core/errors/error.js";
import { systemClock } from "../../core/time/clock.js";
import type { AuditEvent as WireEvent } from "../../proto/gen/mezite/audit/v1/audit.js";
import { RemoteAuditReporter } from "./remote-audit-reporter.js";

suite("audit reporter", () => {
  let dataDirectory: string;
  let logged: string[];
  beforeEach(async () => {
    dataDirectory = await mkdtemp(join(tmpdir(), "mezite-reporter-"));
    logged = [];
  });
  afterEach(() => rm(dataDirectory, { recursive: true }));

  /** A reporter whose `failures` first calls fail, and a promise of the moment when `count` events have arrived. */
  function reporter(count: number, failures: readonly MezError[] = [], maxQueueBytes = 1 << 20) {
    const received: WireEvent[] = [];
    const left = [...failures];
    let all: () => void = () => {};
    const arrived = new Promise<void>((resolve) => {
      all = resolve;
    });
    const made = new RemoteAuditReporter({
      dataDirectory,
      roles: ["node"],
      maxQueueBytes,
      retryMs: 1,
      clock: systemClock,
      logger: { debug() {}, info() {}, warn() {}, error: (message) => void logged.push(message) },
      async send(_role, events) {
        const failure = left.shift();
        if (failure) throw failure;
        received.push(...events);
        if (received.length >= count) all();
      },
    });
    return { made, received, arrived };
  }

  const unavailable = new MezError("UNAVAILABLE", "away");
  const queueFile = () => readFile(join(dataDirectory, "audit-queue", "node.jsonl"), "utf8");

  test("sends in order, also after failures, and keeps the file empty afterwards", async () => {
    const { made, received, arrived } = reporter(1200, [unavailable, unavailable]);
    await made.start();
    for (let index = 0; index < 1200; index += 1) made.report("node", { type: "session.exec", metadata: { index } });
    await arrived;
    await made.drain();
    await made.dispose();
    assert.deepEqual(
      received.map((event) => event.metadataJson),
      Array.from({ length: 1200 }, (_, index) => `{"index":${index}}`),
    );
    assert.equal(await queueFile(), "");
  });

  test("comes again when it was told to, with what was gathered meanwhile, and loses nothing", async () => {
    const calls: number[] = [];
    let isBusy = true;
    const made = new RemoteAuditReporter({
      ...{ dataDirectory, roles: ["node"], maxQueueBytes: 1 << 20, retryMs: 3_600_000, clock: systemClock },
      logger: { debug() {}, info() {}, warn() {}, error: (message) => void logged.push(message) },
      async send(_role, events) {
        calls.push(events.length);
        if (!isBusy) return;
        isBusy = false;
        made.report("node", { type: "session.exec" });
        throw new MezError("LIMIT_EXCEEDED", "later", { fields: { retryAfterMs: 10 } });
      },
    });
    await made.start();
    made.report("node", { type: "session.exec" });
    await made.drain();
    await made.dispose();
    assert.deepEqual([calls, await queueFile(), logged], [[1, 2], "", []]);
  });

  test("sends after a restart what could not be sent before, with the same id", async () => {
    const before = reporter(
      1,
      Array.from({ length: 1000 }, () => unavailable),
    );
    await before.made.start();
    before.made.report("node", { type: "session.start", userName: "alice", occurredAt: new Date("2026-01-01T00:00:00.123Z") });
    await before.made.dispose();
    const kept = JSON.parse(await queueFile()) as { id: string };
    await appendFile(join(dataDirectory, "audit-queue", "node.jsonl"), '{"id":"cut sho');
    const { made, received, arrived } = reporter(1);
    await made.start();
    await arrived;
    await made.dispose();
    assert.deepEqual(
      received.map((event) => [event.id, event.userName, event.timestamp?.toISOString()]),
      [[kept.id, "alice", "2026-01-01T00:00:00.123Z"]],
    );
  });

  test("an event that the server refuses does not hold up those behind it", async () => {
    const { made, received, arrived } = reporter(1, [new MezError("INVALID_ARGUMENT", "no")]);
    await made.start();
    made.report("node", { type: "session.start", userName: "first" });
    while (logged.length === 0) await new Promise((resolve) => setImmediate(resolve));
    made.report("node", { type: "session.start", userName: "second" });
    await arrived;
    await made.dispose();
    assert.deepEqual(
      received.map((event) => event.userName),
      ["second"],
    );
  });

  test("an event that is refused takes no other event with it", async () => {
    const sent: string[][] = [];
    const made = new RemoteAuditReporter({
      ...{ dataDirectory, roles: ["node"], maxQueueBytes: 1 << 20, retryMs: 1, clock: systemClock },
      logger: { debug() {}, info() {}, warn() {}, error: (message) => void logged.push(message) },
      async send(_role, events) {
        sent.push(events.map((event) => event.userName));
        if (events.some((event) => event.userName === "refused")) throw new MezError("INVALID_ARGUMENT", "no");
      },
    });
    await made.start();
    for (const userName of ["a", "b", "refused", "c", "d"]) made.report("node", { type: "session.exec", userName });
    await made.drain();
    for (const userName of ["e", "f"]) made.report("node", { type: "session.exec", userName });
    await made.drain();
    await made.dispose();
    assert.deepEqual(sent, [["a", "b", "refused", "c", "d"], ["a"], ["b"], ["refused"], ["c"], ["d"], ["e", "f"]]);
    assert.equal(logged.length, 1);
  });

  test("sends no more in one call than the auth service takes, and texts as it stores them", async () => {
    const calls: number[] = [];
    const texts = new Set<string>();
    const made = new RemoteAuditReporter({
      ...{ dataDirectory, roles: ["node"], maxQueueBytes: 1 << 26, retryMs: 1, clock: systemClock },
      logger: { debug() {}, info() {}, warn() {}, error: (message) => void logged.push(message) },
      async send(_role, events) {
        calls.push(Buffer.byteLength(JSON.stringify(events)));
        for (const event of events) texts.add(`${event.resourceName} ${event.metadataJson.length}`);
      },
    });
    await made.start();
    for (let index = 0; index < 100; index += 1)
      made.report("node", { type: "session.exec", resourceName: "web\0", metadata: { command: "x".repeat(40_000) } });
    made.report("node", { type: "session.exec", resourceName: "web\0", metadata: { command: "x".repeat(5_000_000) } });
    await made.drain();
    await made.dispose();
    assert.deepEqual([...texts], ["web\ufffd 40014", "web\ufffd 18"]);
    assert.ok(Math.max(...calls) < 1.2 * 1024 * 1024, `${Math.max(...calls)} bytes in one call`);
    assert.deepEqual(logged, []);
  });

  test("says so in the log when the queue is full", async () => {
    const { made } = reporter(
      1,
      Array.from({ length: 1000 }, () => unavailable),
      300,
    );
    await made.start();
    for (let index = 0; index < 5; index += 1) made.report("node", { type: "session.exec" });
    await made.dispose();
    assert.ok(logged.some((line) => line.includes("full")));
  });
});
