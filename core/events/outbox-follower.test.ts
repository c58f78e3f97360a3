import assert from "node:assert/strict";
import { test } from "node:test";
import type { EntityManager } from "@mikro-orm/core";
import { OutboxFollower } from "./outbox-follower.js";

test("two who find out while one of them already loads anew have it done once", async () => {
  const waiting: (() => void)[] = [];
  const loading = Promise.withResolvers<void>();
  let loads = 0;
  const follower = new OutboxFollower({
    head: { seq: 3, commitId: "old" },
    deliver: () => assert.fail("nothing follows what was known"),
    lost: () => {
      loads += 1;
      return loading.promise;
    },
  });
  const em = databaseWith({ seq: 3, commitId: "new" }, waiting);
  const both = [follower.look(em), follower.look(em)];
  while (waiting.length < 2) await new Promise((resolve) => setImmediate(resolve));
  for (let turn = 0; turn < 2; turn += 1) {
    for (const letGo of waiting.splice(0)) letGo();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await new Promise((resolve) => setImmediate(resolve));
  loading.resolve();
  await Promise.all(both);
  assert.equal(loads, 1);
});

test("two who find at once that messages are missing have everything loaded anew once", async () => {
  const waiting: (() => void)[] = [];
  let loads = 0;
  const follower = new OutboxFollower({
    head: { seq: 3, commitId: "old" },
    deliver: () => assert.fail("nothing follows what was known"),
    lost: async () => {
      loads += 1;
    },
  });
  const em = databaseWith({ seq: 9, commitId: "new" }, waiting);
  const both = [follower.look(em), follower.look(em)];
  while (waiting.length < 2) await new Promise((resolve) => setImmediate(resolve));
  const [first, second] = waiting.splice(0);
  first?.();
  while (waiting.length < 1) await new Promise((resolve) => setImmediate(resolve));
  waiting[0]?.();
  await both[0];
  second?.();
  await both[1];
  assert.equal(loads, 1);
});

test("a head that was read before everything was loaded anew is no reason to do it once more", async () => {
  const heard: unknown[] = [];
  const follower = new OutboxFollower({
    head: { seq: 3, commitId: "new" },
    deliver: (rows) => heard.push(...rows),
    lost: async () => assert.fail("nothing is lost"),
  });
  const waiting: (() => void)[] = [];
  const caughtUp = follower.catchUp(databaseWith({ seq: 3, commitId: "new" }, waiting), { seq: 4, commitId: "old" });
  while (waiting.length < 1) await new Promise((resolve) => setImmediate(resolve));
  waiting[0]?.();
  await caughtUp;
  assert.deepEqual(heard, []);
});

// --- internal ---

/** A database whose outbox has that head and no messages; each look at the messages waits until it is let go. */
function databaseWith(head: { readonly seq: number; readonly commitId: string }, waiting: (() => void)[]): EntityManager {
  const messages = async () => {
    await new Promise<void>((resolve) => waiting.push(resolve));
    return [];
  };
  const connection = { execute: async () => [{ last_seq: head.seq, commit_id: head.commitId }] };
  const em: Partial<Record<keyof EntityManager, unknown>> = {
    getConnection: () => connection,
    getTransactionContext: () => undefined,
    find: messages,
    findAll: messages,
  };
  return em as unknown as EntityManager;
}
