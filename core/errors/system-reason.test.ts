import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { systemReason } from "./system-reason.js";

for (const [path, reason] of [
  ["/no/such/file", "no such file or directory"],
  ["/", "illegal operation on a directory"],
] as const) {
  test(`tells in words why ${path} cannot be read`, () => {
    assert.throws(
      () => readFileSync(path),
      (error) => systemReason(error) === reason,
    );
  });
}

test("keeps the message of everything else", () => {
  assert.equal(systemReason(new TypeError("x is not a number")), "x is not a number");
  assert.equal(systemReason("text"), "text");
});
