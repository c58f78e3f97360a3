import assert from "node:assert/strict";
import { test } from "node:test";
import { patienceMs } from "./watch-patience.js";

test("two servers are asked quickly, and then less and less often", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 40].map(patienceMs), [10_500, 10_500, 21_000, 42_000, 42_000, 42_000]);
});
