import assert from "node:assert/strict";
import { test } from "node:test";
import { AgentLock } from "./agent-lock.js";

const [RIGHT, WRONG] = [Buffer.from("right"), Buffer.from("wrong")];

test("opens with the passphrase that it was locked with, and with no other", async () => {
  const lock = new AgentLock(1);
  assert.equal(await lock.unlock(RIGHT), false, "nothing is locked");
  assert.equal(await lock.lock(RIGHT), true);
  assert.equal(await lock.lock(WRONG), false, "locked already");
  assert.equal(await lock.unlock(WRONG), false);
  assert.equal(lock.isLocked, true);
  assert.equal(await lock.unlock(RIGHT), true);
  assert.equal(lock.isLocked, false);
});

test("tries one passphrase after the other", async () => {
  const lock = new AgentLock(1);
  await lock.lock(RIGHT);
  assert.deepEqual(await Promise.all([lock.unlock(WRONG), lock.unlock(RIGHT), lock.unlock(RIGHT)]), [false, true, false]);
});
