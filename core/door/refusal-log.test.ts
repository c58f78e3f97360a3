import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../test/fakes/clock.js";
import type { LogFields } from "../plugin/logger.js";
import { RefusalLog } from "./refusal-log.js";

test("writes so many lines a minute, and later how many it left out", () => {
  const lines: (LogFields | undefined)[] = [];
  const clock = new FakeClock();
  const log = new RefusalLog({ warn: (_, fields) => void lines.push(fields) }, clock, 2);
  for (let count = 0; count < 7; count += 1) log.warn("refused", { count });
  clock.advance(60);
  for (let count = 7; count < 9; count += 1) log.warn("refused", { count });
  assert.deepEqual(lines, [{ count: 0 }, { count: 1 }, { count: 7, leftOut: 5 }, { count: 8 }]);
});
