import assert from "node:assert/strict";
import { test } from "node:test";
import { DialPatience } from "./dial-patience.js";

test("waits twice as long for a proxy that did not answer the time before", () => {
  const patience = new DialPatience(10);
  const waits = Array.from({ length: 5 }, () => {
    const { seconds } = patience;
    patience.silent();
    return seconds;
  });
  assert.deepEqual(waits, [10, 20, 20, 20, 20]);
  patience.heard();
  assert.equal(patience.seconds, 10);
});
