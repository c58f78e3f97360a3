import assert from "node:assert/strict";
import { test } from "node:test";
import { unknownTypeNotice } from "./unknown-type.js";

const KNOWN = ["session.start", "session.end", "lock.created"];

for (const [asked, expected] of [
  ["session.start", ""],
  ["session.*", ""],
  ["*", ""],
  ["session.strat", "warning: there is no event type session.strat; did you mean session.start?"],
  ["session", "warning: there is no event type session; did you mean session.*?"],
  ["teapot", "warning: no event type is called teapot; they begin with lock, session"],
  ["teapot.*", "warning: no event type begins with teapot.; they begin with lock, session"],
] as const) {
  test(`says of ${asked}: ${expected === "" ? "nothing" : expected}`, () =>
    assert.equal(unknownTypeNotice(asked, KNOWN), expected));
}
