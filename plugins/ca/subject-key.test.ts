import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { acceptedPublicKey } from "./subject-key.js";

const P256 = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "der", type: "spki" });
/** The same key with its point compressed. */
const COMPRESSED = Buffer.concat([
  Buffer.from("3039301306072a8648ce3d020106082a8648ce3d030107032200", "hex"),
  Buffer.of(2 + ((P256.at(-1) ?? 0) & 1)),
  P256.subarray(27, 59),
]);

for (const [what, key] of [
  ["P-256", P256],
  ["P-256, compressed", COMPRESSED],
  ["P-384", generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey.export({ format: "der", type: "spki" })],
  ["Ed25519", generateKeyPairSync("ed25519").publicKey.export({ format: "der", type: "spki" })],
  ["RSA", generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey.export({ format: "der", type: "spki" })],
] as const) {
  test(`takes a key of ${what} as it is`, () => assert.deepEqual(acceptedPublicKey(key), key));
}

for (const [what, key] of [
  ["a point that is not on the curve", Buffer.concat([P256.subarray(0, -1), Buffer.of((P256.at(-1) ?? 0) ^ 1)])],
  ["the point zero", Buffer.concat([P256.subarray(0, 27), Buffer.alloc(64)])],
  ["what is cut short", P256.subarray(0, -1)],
  ["nothing", Buffer.alloc(0)],
  ["a short RSA key", generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey.export({ format: "der", type: "spki" })],
  ["another curve", generateKeyPairSync("ec", { namedCurve: "secp256k1" }).publicKey.export({ format: "der", type: "spki" })],
] as const) {
  test(`refuses ${what}`, () =>
    assert.throws(
      () => acceptedPublicKey(key),
      (error) => isMezError(error, "INVALID_ARGUMENT"),
    ));
}
