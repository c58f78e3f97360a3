import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { SERVER_NONCE_BYTES } from "../../../core/join/join-transcript.js";
import { ServerNonces } from "./server-nonce.js";

const clock = { time: Date.now(), now: () => new Date(clock.time) };
const [id, clientNonce] = [randomBytes(16), randomBytes(32)];

test("accepts its own nonce for a minute, for the id and client nonce that it answered", () => {
  const nonces = new ServerNonces(clock);
  const nonce = nonces.issue(id, clientNonce);
  assert.equal(nonce.length, SERVER_NONCE_BYTES);
  assert.ok(nonces.accepts(nonce, id, clientNonce));
  assert.equal(nonces.accepts(nonce, randomBytes(16), clientNonce), false);
  assert.equal(nonces.accepts(nonce, id, randomBytes(32)), false);
  clock.time += 60_000;
  assert.equal(nonces.accepts(nonce, id, clientNonce), false);
});

test("refuses changed, cut and foreign nonces", () => {
  const nonces = new ServerNonces(clock);
  const nonce = nonces.issue(id, clientNonce);
  for (const index of [0, 16, 23, 24, 55]) {
    const changed = Buffer.from(nonce);
    changed[index] = (changed[index] ?? 0) ^ 1;
    assert.equal(nonces.accepts(changed, id, clientNonce), false);
  }
  assert.equal(nonces.accepts(nonce.subarray(1), id, clientNonce), false);
  assert.equal(nonces.accepts(new ServerNonces(clock).issue(id, clientNonce), id, clientNonce), false);
});

test("never issues the same twice", () => {
  const nonces = new ServerNonces(clock);
  assert.notDeepEqual(nonces.issue(id, clientNonce), nonces.issue(id, clientNonce));
});
