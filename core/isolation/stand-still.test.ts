import assert from "node:assert/strict";
import { test } from "node:test";
import { LOOK_MS, processorWaitMs, STAND_STILL_MS, StandStill } from "./stand-still.js";

for (const [what, everyMs, waitsMs, seconds] of [
  ["of one that does nothing at all", LOOK_MS, 0, STAND_STILL_MS / 1000],
  ["of one that waits half of the time for a processor", LOOK_MS, LOOK_MS / 2, (STAND_STILL_MS / 1000) * 2],
  ["of one that waits all the time, up to a minute", LOOK_MS, LOOK_MS, 60],
  ["while we are late ourselves, up to a minute", LOOK_MS * 6, 0, 60],
] as const)
  test(`the stand-still ${what}`, () => {
    const still = new StandStill(1_000, 300);
    let looks = 1;
    while (!still.isTooLong(1_000 + looks * everyMs, 300 + looks * waitsMs)) looks += 1;
    assert.equal((looks * everyMs) / 1000, seconds);
  });

test("a time in which we stood still ourselves is not the process's", () => {
  const still = new StandStill(0, 0);
  assert.equal(still.isTooLong(15_000, 0), false);
  assert.equal(still.isTooLong(15_000 + LOOK_MS, 0), false);
});

test("knows how long a process has waited for a processor, and of one that is gone nothing", () => {
  assert.ok(processorWaitMs(process.pid) >= 0);
  assert.equal(processorWaitMs(2 ** 22 + 1), 0);
});
