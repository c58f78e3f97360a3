import assert from "node:assert/strict";
import { test } from "node:test";
import { nearest } from "./suggestion.js";

const flags = ["user", "ttl", "target-type", "target-name", "format", "roles"];

for (const [word, found] of [
  ["tttl", "ttl"],
  ["tll", "ttl"],
  ["usre", "user"],
  ["fromat", "format"],
  ["target_name", "target-name"],
  ["role", "roles"],
  ["zzz", undefined],
  ["x", undefined],
  ["u".repeat(70_000), undefined],
] as const) {
  test(`takes ${word.slice(0, 20)} for ${found}`, () => assert.equal(nearest(word, flags), found));
}
