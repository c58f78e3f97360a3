import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { Dispatcher, type Subscriber } from "./dispatcher.js";
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
const once = (tell: Subscriber["tell"]): Subscriber => ({ everyServer: false, tell });

function dispatcherOf(...subscribers: readonly Subscriber[]) {
  const collections = new LocalCollections();
  const delivered: number[] = [];
  const dispatcher = new Dispatcher({
    collections,
    subscribers: () => subscribers,
    isOurs: async ({ server }) => server === "us",
    delivered: (rows) => void delivered.push(...rows.map(({ seq }) => seq)),
    logger: silentLogger,
  });
  return { dispatcher, delivered, roles: collections.of<string>({ name: "roles", version: 1, visibleTo: () => true }) };
}

test("a collection has its change before the committer goes on", () => {
  const { dispatcher, roles } = dispatcherOf();
  dispatcher.committed([entry(1, "dev", "a"), entry(2, "ops", "b"), entry(3, "dev")]);
  assert.deepEqual([...roles.entries()], [["ops", "b"]]);
});

test("delivers events in commit order and marks a row when all its subscribers took it", async () => {
  const heard: unknown[] = [];
  const { dispatcher, delivered } = dispatcherOf(
    once(async (payload) => void heard.push(["first", payload])),
    once(async (payload) => void heard.push(["second", payload])),
  );
  dispatcher.committed([event(1, "eve")]);
  dispatcher.committed([event(2, "bob")]);
  await dispatcher.close();
  assert.deepEqual(heard, [
    ["first", "eve"],
    ["second", "eve"],
    ["first", "bob"],
    ["second", "bob"],
  ]);
  assert.deepEqual(delivered, [1, 2]);
});

test("tries a failing subscriber again, and others hear the event once", async () => {
  let failures = 1;
  const heard: string[] = [];
  const { dispatcher } = dispatcherOf(
    once(async () => {
      if (failures-- > 0) throw new Error("not now");
      heard.push("failing");
    }),
    once(async () => void heard.push("healthy")),
  );
  dispatcher.committed([event(1, "eve")]);
  await new Promise((resolve) => setTimeout(resolve, 1200));
  await dispatcher.close();
  assert.deepEqual(heard, ["failing", "healthy"]);
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
    { everyServer: true, tell: async (payload) => void heard.push(["every", payload]) },
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
