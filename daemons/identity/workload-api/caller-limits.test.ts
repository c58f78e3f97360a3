import assert from "node:assert/strict";
import { test } from "node:test";
import { isMezError } from "../../../core/errors/error.js";
import { CallerLimits } from "./caller-limits.js";

test("gives a process 16 connections and a user 256, and takes each back once", () => {
  const { limits } = bed();
  const held = Array.from({ length: 16 }, () => limits.admitConnection(caller(1)));
  assert.throws(() => limits.admitConnection(caller(1)), exceeds(/process 1 has 16 connections open/));
  held[0]?.();
  held[0]?.();
  limits.admitConnection(caller(1));
  assert.throws(() => limits.admitConnection(caller(1)), exceeds(/process 1/));
  for (let pid = 2; pid <= 16; pid += 1) for (let count = 0; count < 16; count += 1) limits.admitConnection(caller(pid));
  assert.throws(() => limits.admitConnection(caller(17)), exceeds(/user 1000 has 256 connections open/));
  limits.admitConnection(caller(17, 1001));
});

test("gives a process 64 calls at once", () => {
  const { limits } = bed();
  const held = Array.from({ length: 64 }, () => limits.admitCall(caller(1)));
  assert.throws(() => limits.admitCall(caller(1)), exceeds(/process 1 has 64 calls open/));
  for (const release of held) release();
  limits.admitCall(caller(1));
});

test("lets a user make a burst of orders, and then so many a second", () => {
  const { limits, pass } = bed();
  for (let count = 0; count < 100; count += 1) limits.admitOrder(caller(count));
  assert.throws(() => limits.admitOrder(caller(1)), exceeds(/user 1000 makes more than 20 orders a second/));
  limits.admitOrder(caller(1, 1001));
  pass(100);
  limits.admitOrder(caller(1));
  limits.admitOrder(caller(1));
  assert.throws(() => limits.admitOrder(caller(1)), exceeds(/orders/));
});

test("writes ten lines about a user, and then few", () => {
  const { limits, pass } = bed();
  const lines = Array.from({ length: 20 }, () => limits.admitLogLine(1000));
  assert.equal(lines.filter(Boolean).length, 10);
  pass(10_000);
  assert.deepEqual([limits.admitLogLine(1000), limits.admitLogLine(1000)], [true, false]);
});

// --- internal ---

function bed() {
  let now = 1_000_000;
  const limits = new CallerLimits({ now: () => new Date(now) });
  return {
    limits,
    pass: (milliseconds: number) => {
      now += milliseconds;
    },
  };
}

function caller(pid: number, uid = 1000) {
  return { credentials: { pid, uid, gid: uid, isRunning: () => true, close() {} }, processKey: `${pid}:1` };
}

function exceeds(message: RegExp): (error: unknown) => boolean {
  return (error) => isMezError(error, "LIMIT_EXCEEDED") && message.test(error.message);
}
