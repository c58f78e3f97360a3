import assert from "node:assert/strict";
import { test } from "node:test";
import { HeldBytes } from "./held-bytes.js";
import { lendDuring } from "./lent-memory.js";
import { ReadMemory } from "./read-memory.js";
import { SharedKeep } from "./shared-keep.js";

test("memory is given back once, when the last who keeps it is done", () => {
  let releases = 0;
  const shared = new SharedKeep(() => {
    releases += 1;
  });
  const [first, second] = [shared.keep(), shared.keep()];
  first();
  first();
  assert.equal(releases, 0);
  second();
  second();
  assert.equal(releases, 1);
});

test("memory that two writes of one read wait with is not read into before both have ended, and then by one", () => {
  const memory = largeMemory();
  const kept = memory.memory;
  const [first, second] = [memory.keep(), memory.keep()];
  for (const _growth of ["small", "large"]) memory.after(memory.area.length);
  first();
  assert.notEqual(largeMemory().memory, kept);
  second();
  const [next, another] = [largeMemory(), largeMemory()];
  assert.equal([next.memory, another.memory].filter((one) => one === kept).length, 1);
});

test("memory that is given back before the next read stays with its connection", () => {
  const memory = largeMemory();
  memory.keep()();
  memory.keep()();
  assert.notEqual(largeMemory().memory, memory.memory);
  const kept = memory.memory;
  assert.equal(memory.after(memory.area.length).buffer, kept);
});

test("held bytes stay as they are while others are read, in blocks that are used again", () => {
  const memory = largeMemory();
  const held = new HeldBytes();
  const holdFilled = (value: number) => {
    const bytes = memory.area.subarray(0, 100_000).fill(value);
    let copy: Buffer = Buffer.alloc(0);
    lendDuring(memory, () => {
      copy = held.hold(bytes);
    });
    return copy;
  };
  const copies = [1, 2, 3, 4].map(holdFilled);
  assert.deepEqual(
    copies.map((copy, index) => [copy.length, copy.every((byte) => byte === index + 1)]),
    copies.map(() => [100_000, true]),
  );
  const before = new Set(copies.map(({ buffer }) => buffer));
  assert.equal(before.size, 2);
  held.release();
  assert.ok(before.has(holdFilled(5).buffer));
});

// --- internal ---

/** A connection's memory in a transfer. */
function largeMemory(): ReadMemory {
  const memory = new ReadMemory();
  for (const _growth of ["small", "large"]) memory.after(memory.area.length);
  return memory;
}
