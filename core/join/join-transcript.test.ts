import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { Secret } from "../plugin/secret.js";
import { deriveJoinTokenKeys } from "./join-token-keys.js";
import { clientStatement, isSignedBy, serverProof } from "./join-transcript.js";

const keys = deriveJoinTokenKeys(new Secret("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"));
const transcript = {
  tokenId: keys.id,
  clientNonce: Buffer.alloc(32, 1),
  serverNonce: Buffer.alloc(56, 2),
  fingerprint: Buffer.alloc(32, 3),
  trustBundleHash: Buffer.alloc(32, 4),
};
const requestHash = Buffer.alloc(32, 5);
const PARTS = ["tokenId", "clientNonce", "serverNonce", "fingerprint", "trustBundleHash"] as const;

test("the server's proof is the HMAC that the protocol names", () => {
  const bytes = Buffer.concat([Buffer.from("mezite-join-server-v1"), ...PARTS.map((part) => transcript[part])]);
  assert.deepEqual(serverProof(keys.serverKey, transcript), createHmac("sha256", keys.serverKey).update(bytes).digest());
  assert.equal(
    serverProof(keys.serverKey, transcript).toString("hex"),
    "a437a3aba3b607f3f4e5a11652e35b213efd41864dd2713f57d54521ba3633a6",
  );
});

test("the client signs the transcript and its request", () => {
  const statement = clientStatement(transcript, requestHash);
  assert.deepEqual(
    statement,
    Buffer.concat([Buffer.from("mezite-join-client-v1"), ...PARTS.map((part) => transcript[part]), requestHash]),
  );
  assert.ok(isSignedBy(keys.clientPublicKey, statement, keys.sign(statement)));
});

for (const part of PARTS) {
  test(`another ${part} makes both proofs worthless`, () => {
    const changed = { ...transcript, [part]: Buffer.from(transcript[part]).fill(9) };
    assert.notDeepEqual(serverProof(keys.serverKey, changed), serverProof(keys.serverKey, transcript));
    assert.equal(
      isSignedBy(
        keys.clientPublicKey,
        clientStatement(changed, requestHash),
        keys.sign(clientStatement(transcript, requestHash)),
      ),
      false,
    );
  });
}

test("another request, a cut signature and a signature of another token do not pass", () => {
  const statement = clientStatement(transcript, requestHash);
  const signature = keys.sign(statement);
  assert.equal(isSignedBy(keys.clientPublicKey, clientStatement(transcript, Buffer.alloc(32, 6)), signature), false);
  assert.equal(isSignedBy(keys.clientPublicKey, statement, signature.subarray(1)), false);
  assert.equal(isSignedBy(deriveJoinTokenKeys(new Secret("ab".repeat(32))).clientPublicKey, statement, signature), false);
});
