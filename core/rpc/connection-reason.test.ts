import assert from "node:assert/strict";
import { test } from "node:test";
import { connectionReason } from "./connection-reason.js";

for (const [text, reason] of [
  ["No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:1. Resolution note: ", "connection refused"],
  ["No connection established. Last error: Error: something new. Resolution note: ", "something new"],
  ["Name resolution failed for target dns:nohost.invalid:1", "Name resolution failed for target dns:nohost.invalid:1"],
  ["ENOTFOUND", "there is no host of that name"],
  ["ERR_SSL_WRONG_VERSION_NUMBER", "what listens there does not speak TLS"],
] as const) {
  test(`says "${reason}" for "${text}"`, () => assert.equal(connectionReason(text), reason));
}
