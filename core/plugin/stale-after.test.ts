import assert from "node:assert/strict";
import { test } from "node:test";
import { isMezError } from "../errors/error.js";
import { parseStaleAfter } from "./stale-after.js";

test("an hour and the shortest time that is safe are taken", () => {
  assert.equal(parseStaleAfter("node.policy_stale_after", "1h"), 3600);
  assert.equal(parseStaleAfter("node.policy_stale_after", "10s"), 10);
});

test("a time in which a healthy auth service may well be silent is refused", () => {
  assert.throws(
    () => parseStaleAfter("node.policy_stale_after", "9s"),
    (error) => isMezError(error, "CONFIG_INVALID") && /node\.policy_stale_after is 9s; use at least 10s/.test(error.message),
  );
});
