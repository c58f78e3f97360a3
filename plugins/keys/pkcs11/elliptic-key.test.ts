import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import type { KeyAlgorithm } from "../../../core/ports/key-backend.js";
import { publicKeyOfPoint } from "./elliptic-key.js";
import { formatKeyUri, parseKeyUri } from "./key-uri.js";
import { TokenError } from "./token-error.js";

const PUBLIC_KEYS: Readonly<Record<KeyAlgorithm, Buffer>> = {
  ed25519: generateKeyPairSync("ed25519").publicKey.export({ format: "der", type: "spki" }),
  "ecdsa-p256": generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "der", type: "spki" }),
};

for (const [algorithm, bytes] of [
  ["ed25519", 32],
  ["ecdsa-p256", 65],
] as const) {
  for (const [how, wrap] of [
    ["bare", (point) => point],
    ["as an OCTET STRING", (point) => Buffer.concat([Buffer.of(4, bytes), point])],
    ["as a BIT STRING", (point) => Buffer.concat([Buffer.of(3, bytes + 1, 0), point])],
  ] as const satisfies readonly (readonly [string, (point: Buffer) => Buffer])[]) {
    test(`reads the point of an ${algorithm} key ${how}`, () => {
      const expected = PUBLIC_KEYS[algorithm];
      const der = publicKeyOfPoint(algorithm, wrap(expected.subarray(-bytes)));
      assert.ok(createPublicKey({ key: der, format: "der", type: "spki" }));
      assert.deepEqual(der, expected);
    });
  }

  test(`takes nothing else for the point of an ${algorithm} key`, () => {
    for (const point of [Buffer.alloc(0), Buffer.alloc(bytes - 1), Buffer.alloc(bytes + 2), Buffer.alloc(300)])
      assert.throws(() => publicKeyOfPoint(algorithm, point), TokenError);
  });
}

test("reads the handles that it writes, and no others", () => {
  const place = { token: "CA; of the 1st %", id: "00ff10a0b0c0d0e0f00102030405060708".slice(0, 32) };
  assert.deepEqual(parseKeyUri(formatKeyUri(place)), place);
  const one = formatKeyUri(place);
  for (const handle of [
    "",
    "x",
    `${one};x=1`,
    one.replace("pkcs11:", ""),
    one.replace("%ff", ""),
    "pkcs11:token=%ff;id=;type=private",
  ])
    assert.equal(parseKeyUri(handle), null);
});
