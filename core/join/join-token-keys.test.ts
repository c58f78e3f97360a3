import assert from "node:assert/strict";
import { createPublicKey, hkdfSync, verify } from "node:crypto";
import { test } from "node:test";
import { isMezError } from "../errors/error.js";
import { Secret } from "../plugin/secret.js";
import { deriveJoinTokenKeys, generateJoinToken } from "./join-token-keys.js";

const TOKEN = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

test("derives the same keys for ever: agents and servers of different releases must agree", () => {
  const keys = deriveJoinTokenKeys(new Secret(TOKEN));
  assert.equal(keys.id.toString("hex"), "7f4f6e14b9229f24b0fe58c10b6bd8d4");
  assert.equal(keys.serverKey.toString("hex"), "23c52620d61107a4f059647afb6ef7534dd2e9d0592f2853dab2ccf107e50e52");
  assert.equal(keys.clientPublicKey.toString("hex"), "065fb70d5d6345dcf4fff368ff60edc0a65ba162159fd4a3f0b28fb1556afaa0");
  assert.equal(keys.sign(Buffer.from("statement")).toString("hex").slice(0, 32), "47a076a611e9295965c65faac925e741");
});

test("each part is HKDF-SHA256 of the token's bytes under its own label", () => {
  const keys = deriveJoinTokenKeys(new Secret(TOKEN));
  const part = (label: string, bytes: number) =>
    Buffer.from(hkdfSync("sha256", Buffer.from(TOKEN, "hex"), "", `mezite-join-token-v1 ${label}`, bytes));
  assert.deepEqual(keys.id, part("id", 16));
  assert.deepEqual(keys.serverKey, part("server", 32));
});

test("what it signs verifies under the public key that the server keeps", () => {
  const keys = deriveJoinTokenKeys(generateJoinToken());
  const x = keys.clientPublicKey.toString("base64url");
  const publicKey = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  assert.ok(verify(null, Buffer.from("statement"), publicKey, keys.sign(Buffer.from("statement"))));
});

test("a new token is 64 hex characters and never the same", () => {
  const tokens = Array.from({ length: 100 }, () => generateJoinToken().expose());
  assert.equal(new Set(tokens).size, 100);
  for (const token of tokens) assert.match(token, /^[0-9a-f]{64}$/);
});

test("spaces around a pasted token and capital letters do not matter", () => {
  assert.deepEqual(deriveJoinTokenKeys(new Secret(` ${TOKEN.toUpperCase()}\n`)).id, deriveJoinTokenKeys(new Secret(TOKEN)).id);
});

for (const text of ["", "abc", TOKEN.slice(1), `${TOKEN}0`, `${TOKEN.slice(1)}g`, `${TOKEN}\0`]) {
  test(`refuses ${JSON.stringify(text)} without repeating it`, () => {
    assert.throws(
      () => deriveJoinTokenKeys(new Secret(text)),
      (error) => isMezError(error, "INVALID_ARGUMENT") && (text.length < 3 || !error.message.includes(text)),
    );
  });
}
