import assert from "node:assert/strict";
import { test } from "node:test";
import { WakeQueue } from "./wake-queue.js";

test("wakes few in one turn of the event loop, all in their order, and each once", async () => {
  const queue = new WakeQueue();
  const woken: number[] = [];
  const wakes = Array.from({ length: 150 }, (_, index) => () => void woken.push(index));
  for (const wake of [...wakes, ...wakes.slice(100)]) queue.add(wake);
  const counts = [woken.length];
  while (woken.length < wakes.length) {
    await new Promise((resolve) => setImmediate(resolve));
    counts.push(woken.length);
  }
  assert.deepEqual(counts, [64, 128, 150]);
  assert.deepEqual(
    woken,
    wakes.map((_, index) => index),
  );
});

test("whoever has gone is not woken", async () => {
  const queue = new WakeQueue();
  const woken: string[] = [];
  for (let index = 0; index < 64; index += 1) queue.add(() => undefined);
  const gone = (): void => void woken.push("gone");
  queue.add(gone);
  queue.add(() => woken.push("there"));
  queue.delete(gone);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(woken, ["there"]);
});
