import assert from "node:assert/strict";
import { argon2Sync } from "node:crypto";
import { test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { Secret } from "../../core/plugin/secret.js";
import { hashPassword, needsRehash, verifyPassword } from "./password-hash.js";

const PASSWORD = "correct horse battery staple";

test("a password is hashed with argon2id at today's cost and a fresh salt", async () => {
  const [one, other] = await Promise.all([hashPassword(new Secret(PASSWORD)), hashPassword(new Secret(PASSWORD))]);
  assert.match(one.expose(), /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  assert.notEqual(one.expose(), other.expose());
  assert.equal(needsRehash(one), false);
});

test("a hash is what OpenSSL makes of the same password and salt", async () => {
  const [, , , , salt = "", hash] = (await hashPassword(new Secret(PASSWORD))).expose().split("$");
  assert.equal(
    hash,
    phcOf({ salt: Buffer.from(salt, "base64"), memory: 19_456, passes: 2, parallelism: 1 })
      .split("$")
      .at(-1),
  );
});

test("hashes of other costs, lanes and lengths are verified too, and are to be made anew", async () => {
  const salt = Buffer.from("0123456789abcdef");
  for (const cost of [
    { memory: 8_192, passes: 3, parallelism: 1 },
    { memory: 65_536, passes: 1, parallelism: 4 },
    { memory: 19_456, passes: 2, parallelism: 1, tagLength: 64 },
  ]) {
    const stored = new Secret(phcOf({ salt, ...cost }));
    assert.equal(await verifyPassword(stored, new Secret(PASSWORD)), true, stored.expose());
    assert.equal(await verifyPassword(stored, new Secret(`${PASSWORD}r`)), false, stored.expose());
  }
  assert.equal(needsRehash(new Secret(phcOf({ salt, memory: 8_192, passes: 3, parallelism: 1 }))), true);
});

test("a hash holds its password in every normal form, and no other; nobody's password is wrong", async () => {
  const stored = await hashPassword(new Secret("caf\u00e9 au lait noir"));
  assert.equal(await verifyPassword(stored, new Secret("cafe\u0301 au lait noir")), true);
  assert.equal(await verifyPassword(stored, new Secret("cafe au lait noir")), false);
  assert.equal(await verifyPassword(null, new Secret("caf\u00e9 au lait noir")), false);
});

test("a damaged hash is named as such", async () => {
  for (const text of [
    "",
    "$argon2i$x",
    "$argon2i$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaA",
    "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA",
  ])
    await assert.rejects(
      verifyPassword(new Secret(text), new Secret("x")),
      (error) => isMezError(error, "STORAGE_CORRUPT"),
      text,
    );
});

// --- internal ---

interface Cost {
  readonly salt: Buffer;
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
  readonly tagLength?: number;
}

/** PHC string of `PASSWORD`, computed by OpenSSL. */
function phcOf({ salt, tagLength = 32, ...cost }: Cost): string {
  const hash = argon2Sync("argon2id", { message: PASSWORD, nonce: salt, tagLength, ...cost });
  const [saltText, hashText] = [salt, hash].map((bytes) => bytes.toString("base64").replace(/=+$/, ""));
  return `$argon2id$v=19$m=${cost.memory},t=${cost.passes},p=${cost.parallelism}$${saltText}$${hashText}`;
}
