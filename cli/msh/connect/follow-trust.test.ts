import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { mayBegin } from "./follow-trust.js";

const [HELD, OTHER] = [Buffer.alloc(64, "held"), Buffer.alloc(64, "other")];

for (const [when, afterMs, held, expected] of [
  ["at the same time", 0, HELD, false],
  ["a moment later", 4_000, HELD, false],
  ["when time has passed", 10_000, HELD, true],
  ["when the clock was put back", -3_600_000, HELD, true],
  ["for other keys", 0, OTHER, true],
] as const)
  test(`a refresh that was begun is ${expected ? "" : "not "}begun again ${when}`, (t) => {
    const folder = mkdtempSync(join(tmpdir(), "mezite-trust-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const mark = join(folder, "mark");
    assert.equal(mayBegin(mark, HELD), true);
    const { mtimeMs, mode } = statSync(mark);
    assert.equal(mode & 0o777, 0o600);
    assert.equal(mayBegin(mark, held, mtimeMs + afterMs), expected);
  });

test("nothing is begun where nothing can be kept", () => {
  assert.equal(mayBegin("/proc/none/mark", HELD), false);
});
