import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../../test/fixtures/eventually.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { MezError } from "../errors/error.js";
import { Dispatcher } from "./dispatcher.js";
import type { Subscriber } from "./event-lane.js";
import { LocalCollections } from "./local-collections.js";
import type { OutboxRow } from "./outbox.js";

const event = (seq: number, payload: unknown): OutboxRow => ({
  seq,
  topic: "event:user.left@1",
  key: null,
  payload,
  removed: false,
  commitId: "c",
  server: "us",
});
const entry = (seq: number, key: string, payload?: unknown): OutboxRow => ({
  seq,
  topic: "collection:roles@1",
  key,
  payload,
  removed: payload === undefined,
  commitId: "c",
  server: null,
});
const once = (tell: Subscriber["tell"], owner = "one"): Subscriber => ({
  owner,
  everyServer: false,
  tell,
  missed: () => assert.fail("only those who hear on every server miss something"),
});

function dispatcherOf(...subscribers: readonly Subscriber[]) {
  const collections = new LocalCollections();
  const delivered: number[] = [];
  /** What the database has. */
  const stored = new Map<number, OutboxRow>();
  const dispatcher = new Dispatcher({
    collections,
    subscribers: () => subscribers,
    isOurs: async ({ server }) => server === "us",
    read: async (seq) => stored.get(seq) ?? null,
    delivered: (rows) => void delivered.push(...rows.map(({ seq }) => seq)),
    logger: silentLogger,
    retryMs: 1,
  });
  return { dispatcher, delivered, stored, roles: collections.of<string>({ name: "roles", version: 1, visibleTo: () => true }) };
}

test("a collection has its change before the committer goes on", () => {
  const { dispatcher, roles } = dispatcherOf();
  dispatcher.committed([entry(1, "dev", "a"), entry(2, "ops", "b"), entry(3, "dev")]);
  assert.deepEqual([...roles.entries()], [["ops", "b"]]);
});

test("each plugin hears events in commit order, and a row is marked when all have taken it", async () => {
  const heard: Record<string, unknown[]> = { first: [], second: [] };
  const gate = Promise.withResolvers<void>();
  const { dispatcher, delivered } = dispatcherOf(
    once(async (payload) => void heard.first?.push(payload), "first"),
    once(async (payload) => {
      await gate.promise;
      heard.second?.push(payload);
    }, "second"),
  );
  dispatcher.committed([event(1, "eve")]);
  dispatcher.committed([event(2, "bob"), event(3, "zoe")]);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([heard.first, heard.second, delivered], [["eve", "bob", "zoe"], [], []]);
  gate.resolve();
  await dispatcher.close();
  assert.deepEqual(heard.second, ["eve", "bob", "zoe"]);
  assert.deepEqual(delivered, [1, 2, 3]);
});

test("a failing plugin is told again and before anything later, and holds up nobody else", async () => {
  let failures = 3;
  const heard: unknown[] = [];
  const { dispatcher, delivered } = dispatcherOf(
    once(async (payload) => void heard.push(["patient", payload]), "failing"),
    once(async (payload) => {
      if (failures-- > 0) throw new Error("not now");
      heard.push(["failing", payload]);
    }, "failing"),
    once(async (payload) => void heard.push(["healthy", payload]), "healthy"),
  );
  dispatcher.committed([event(1, "eve"), event(2, "bob")]);
  await eventually(() => delivered.length === 2);
  await dispatcher.close();
  assert.deepEqual(heard, [
    ["patient", "eve"],
    ["healthy", "eve"],
    ["healthy", "bob"],
    ["failing", "eve"],
    ["patient", "bob"],
    ["failing", "bob"],
  ]);
});

test("after ten failures an event is given up, and the next one is heard", async () => {
  let tries = 0;
  const heard: unknown[] = [];
  const { dispatcher, delivered } = dispatcherOf(
    once(async (payload) => {
      if (payload === "eve") tries += 1;
      if (payload === "eve") throw new Error("never");
      heard.push(payload);
    }),
  );
  dispatcher.committed([event(1, "eve"), event(2, "bob")]);
  await eventually(() => delivered.length === 2);
  assert.deepEqual([tries, heard, delivered], [10, ["bob"], [1, 2]]);
});

test("no event is given up because the database was away", async () => {
  const heard: unknown[] = [];
  let away = 25;
  const dispatcher = new Dispatcher({
    collections: new LocalCollections(),
    subscribers: () => [once(async (payload) => void heard.push(payload))],
    isOurs: async () => {
      if (away-- > 0) throw new MezError("UNAVAILABLE", "the database is away");
      return true;
    },
    read: async () => null,
    delivered: () => undefined,
    logger: silentLogger,
    retryMs: 1,
  });
  dispatcher.committed([event(1, "eve")]);
  await eventually(() => heard.length === 1);
  await dispatcher.close();
  assert.deepEqual(heard, ["eve"]);
});

test("of more events than are kept in memory the others are read again, in order", async () => {
  const heard: unknown[] = [];
  const gate = Promise.withResolvers<void>();
  const { dispatcher, delivered, stored } = dispatcherOf(
    once(async (payload) => {
      await gate.promise;
      heard.push(payload);
    }),
  );
  const rows = Array.from({ length: 2500 }, (_, n) => event(n + 1, n));
  for (const row of rows) stored.set(row.seq, { ...row, payload: `stored ${row.payload}` });
  dispatcher.committed(rows);
  gate.resolve();
  await dispatcher.close();
  assert.deepEqual([heard.length, heard[0], heard.at(-1)], [2500, 0, "stored 2499"]);
  assert.deepEqual(
    delivered,
    rows.map(({ seq }) => seq),
  );
});

test("who hears on every server starts anew in the place of an event that another server has delivered and is gone", async () => {
  const heard: unknown[] = [];
  const gate = Promise.withResolvers<void>();
  const { dispatcher, stored } = dispatcherOf(
    {
      owner: "one",
      everyServer: true,
      tell: async (payload) => {
        await gate.promise;
        heard.push(payload);
      },
      missed: () => heard.push("missed"),
    },
    once(async () => assert.fail("it is another server's")),
  );
  const rows = Array.from({ length: 1004 }, (_, n) => ({ ...event(n + 1, n), server: "them" }));
  for (const row of rows) if (row.seq !== 1003) stored.set(row.seq, row);
  dispatcher.committed(rows);
  gate.resolve();
  await dispatcher.close();
  assert.deepEqual(heard.slice(1000), [1000, 1001, "missed", 1003]);
});

test("who hears on every server starts anew when messages of other servers were missed", () => {
  let missed = 0;
  const { dispatcher } = dispatcherOf(
    { owner: "one", everyServer: true, tell: () => Promise.reject(new Error("no")), missed: () => assert.fail("logged") },
    { owner: "two", everyServer: true, tell: () => Promise.reject(new Error("no")), missed: () => (missed += 1) },
    once(async () => {}),
  );
  dispatcher.missed();
  assert.equal(missed, 1);
});

test("what a crash cut short comes again to all plugins that hear it, also to one that had taken it", async () => {
  const heard: unknown[] = [];
  const hang = new Promise<void>(() => undefined);
  const crashed = dispatcherOf(
    once(async (payload) => void heard.push(["quick", payload]), "quick"),
    once(() => hang, "slow"),
  );
  crashed.dispatcher.committed([event(1, "eve")]);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(crashed.delivered, []);
  const next = dispatcherOf(
    once(async (payload) => void heard.push(["quick", payload]), "quick"),
    once(async (payload) => void heard.push(["slow", payload]), "slow"),
  );
  next.dispatcher.redeliver([event(1, "eve")]);
  await next.dispatcher.close();
  assert.deepEqual(heard, [
    ["quick", "eve"],
    ["quick", "eve"],
    ["slow", "eve"],
  ]);
  assert.deepEqual(next.delivered, [1]);
});

test("keeps an event that a subscriber could not take before the end, and does not wait for it", async () => {
  const heard: unknown[] = [];
  const { dispatcher, delivered } = dispatcherOf(
    once(async (payload) => {
      if (payload === "eve") throw new Error("never");
      heard.push(payload);
    }),
  );
  dispatcher.committed([event(1, "eve"), event(2, "bob")]);
  await dispatcher.close();
  assert.deepEqual([heard, delivered], [["bob"], [2]]);
});

test("delivers an earlier process's events again, and leaves the collections as they were loaded", async () => {
  const heard: unknown[] = [];
  const { dispatcher, delivered, roles } = dispatcherOf(once(async (payload) => void heard.push(payload)));
  dispatcher.committed([entry(7, "dev", "new")]);
  dispatcher.redeliver([entry(5, "dev", "old"), event(6, "eve")]);
  await dispatcher.close();
  assert.equal(roles.get("dev"), "new");
  assert.deepEqual(heard, ["eve"]);
  assert.deepEqual(delivered, [7, 5, 6]);
});

test("an event of another server is heard by those who hear on every server, and by them alone", async () => {
  const heard: unknown[] = [];
  const { dispatcher } = dispatcherOf(
    once(async (payload) => void heard.push(["once", payload])),
    { owner: "one", everyServer: true, tell: async (payload) => void heard.push(["every", payload]), missed: () => {} },
  );
  dispatcher.committed([{ ...event(1, "eve"), server: "them" }, event(2, "bob")]);
  dispatcher.redeliver([event(3, "zoe")]);
  await dispatcher.close();
  assert.deepEqual(heard, [
    ["every", "eve"],
    ["once", "bob"],
    ["every", "bob"],
    ["once", "zoe"],
  ]);
});
