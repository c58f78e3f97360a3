import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { MezError } from "../../core/errors/error.js";
import type { Database } from "../../core/plugin/database.js";
import { openTestDatabase, type TestDatabase } from "../../test/fixtures/database.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { AGENT_ENTITIES } from "./agent-repository.js";
import { Heartbeats } from "./heartbeats.js";
import { CreateAgents } from "./migrations/001-agents.js";
import { AddAgentTrust } from "./migrations/003-agent-trust.js";

const clock = { time: Date.parse("2026-01-01T00:00:00Z"), now: () => new Date(clock.time) };
let opened: TestDatabase;
before(async () => {
  opened = await openTestDatabase({
    entities: AGENT_ENTITIES,
    migrations: [
      { name: "001-agents", class: CreateAgents },
      { name: "003-agent-trust", class: AddAgentTrust },
    ],
  });
});
after(() => opened.close());

test("online is a heartbeat within three intervals", () => {
  const heartbeats = new Heartbeats(opened.database, clock, silentLogger, 20);
  assert.equal(heartbeats.isOnline("a"), false);
  assert.equal(heartbeats.lastSeen("a"), null);
  heartbeats.beat("a");
  clock.time += 60_000;
  assert.equal(heartbeats.isOnline("a"), true);
  clock.time += 1;
  assert.equal(heartbeats.isOnline("a"), false);
  assert.equal(heartbeats.lastSeen("a")?.toISOString(), "2026-01-01T00:00:00.000Z");
});

test("who said goodbye is offline at once, until the next heartbeat", () => {
  const heartbeats = new Heartbeats(opened.database, clock, silentLogger, 20);
  heartbeats.beat("a");
  heartbeats.leave("a");
  assert.equal(heartbeats.isOnline("a"), false);
  heartbeats.beat("a");
  assert.equal(heartbeats.isOnline("a"), true);
  heartbeats.forget("a");
  assert.equal(heartbeats.lastSeen("a"), null);
});

test("a connection that lives keeps an agent online, unless it has said goodbye or never registered", () => {
  const heartbeats = new Heartbeats(opened.database, clock, silentLogger, 20);
  for (const id of ["a", "b"]) heartbeats.beat(id);
  heartbeats.leave("b");
  clock.time += 50_000;
  for (const id of ["a", "b", "c"]) heartbeats.hear(id);
  clock.time += 50_000;
  assert.deepEqual(
    ["a", "b", "c"].map((id) => heartbeats.isOnline(id)),
    [true, false, false],
  );
  assert.equal(heartbeats.lastSeen("c"), null);
});

for (const [intervalSeconds, connected] of [
  [1, 1],
  [19, 19],
  [20, 180],
  [60, 540],
] as const)
  test(`asks for a heartbeat every ${connected} s where ${intervalSeconds} s are set, as a connection shows that it lives`, () => {
    assert.equal(new Heartbeats(opened.database, clock, silentLogger, intervalSeconds).connectedIntervalSeconds, connected);
  });

test("writes who was heard once an interval, and reads what others wrote where there are others", async () => {
  let [writes, reads] = [0, 0];
  const counting: Database = {
    read: (work) => {
      reads += 1;
      return opened.database.read(work);
    },
    transaction: (work) => {
      writes += 1;
      return opened.database.transaction(work);
    },
  };
  let isShared = false;
  const heartbeats = new Heartbeats(counting, clock, silentLogger, 20, async () => isShared);
  heartbeats.beat("heard-often");
  await heartbeats.save();
  for (let second = 0; second < 60; second += 5) {
    clock.time += 5_000;
    heartbeats.hear("heard-often");
    await heartbeats.save();
    await heartbeats.look();
  }
  assert.deepEqual([writes, reads], [4, 0]);
  isShared = true;
  await heartbeats.look();
  assert.equal(reads, 1);
});

test("survives a restart, in a few transactions however many agents there are", async () => {
  let transactions = 0;
  const counting: Database = {
    read: (work) => opened.database.read(work),
    transaction: (work) => {
      transactions += 1;
      return opened.database.transaction(work);
    },
  };
  const heartbeats = new Heartbeats(counting, clock, silentLogger, 20);
  for (let agent = 0; agent < 1200; agent++) for (let beat = 0; beat < 3; beat++) heartbeats.beat(`agent-${agent}`);
  await heartbeats.save();
  assert.equal(transactions, 3);
  await heartbeats.save();
  assert.equal(transactions, 3);
  const restarted = new Heartbeats(opened.database, clock, silentLogger, 20);
  await restarted.start();
  assert.deepEqual(restarted.lastSeen("agent-1199"), clock.now());
  await restarted.dispose();
});

test("what could not be written is written the next time", async () => {
  let isDown = true;
  const flaky: Database = {
    read: (work) => opened.database.read(work),
    transaction: (work) =>
      isDown ? Promise.reject(new MezError("UNAVAILABLE", "the database is out of reach")) : opened.database.transaction(work),
  };
  const heartbeats = new Heartbeats(flaky, clock, silentLogger, 20);
  heartbeats.beat("late");
  await heartbeats.save();
  isDown = false;
  await heartbeats.save();
  const restarted = new Heartbeats(opened.database, clock, silentLogger, 20);
  await restarted.start();
  assert.deepEqual(restarted.lastSeen("late"), clock.now());
  await restarted.dispose();
});

test("what a server has heard itself is not replaced by what it wrote down before", async () => {
  const heartbeats = new Heartbeats(opened.database, clock, silentLogger, 20);
  const [earlier, later] = ["AA", "BB"].map((authority) => ({ trusted: { host: [authority] }, certificateAuthority: authority }));
  heartbeats.beat("b", earlier);
  await heartbeats.save();
  clock.time += 1_000;
  heartbeats.beat("b", later);
  await heartbeats.look();
  assert.deepEqual([heartbeats.lastSeen("b"), heartbeats.trustOf("b")], [clock.now(), later]);
});

test("a server knows what agents said to another one", async () => {
  const [here, there] = [1, 2].map(() => new Heartbeats(opened.database, clock, silentLogger, 20)) as [Heartbeats, Heartbeats];
  const trust = { trusted: { host: ["AA"] }, certificateAuthority: "AA" };
  here.beat("shared", trust);
  await here.save();
  await there.look();
  assert.deepEqual([there.isOnline("shared"), there.trustOf("shared")], [true, trust]);
  clock.time += 40_000;
  // To the other one, and it does not repeat what it trusts.
  const newcomer = new Heartbeats(opened.database, clock, silentLogger, 20);
  newcomer.beat("shared");
  await newcomer.save();
  clock.time += 40_000;
  await here.look();
  assert.deepEqual([here.isOnline("shared"), here.trustOf("shared")], [true, trust]);
  await there.look();
  assert.deepEqual(there.trustOf("shared"), trust);
});
