import assert from "node:assert/strict";
import { createPublicKey, randomBytes, verify } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import type { KeyAlgorithm, KeyBackend } from "../../core/ports/key-backend.js";

/** A backend under test. */
export interface KeyBackendUnderTest {
  readonly backend: KeyBackend;
  /** The longest text that it signs with Ed25519, where there is a limit; the port demands at least 4096. */
  readonly maxEd25519Bytes?: number;
  /** The same keys as another process sees them after a restart; absent for backends that keep nothing. */
  reopen?(): Promise<KeyBackend>;
  close(): Promise<void>;
}

/** What every filler of the port KEY_BACKEND must do. */
export function testKeyBackend(name: string, open: () => Promise<KeyBackendUnderTest>): void {
  describe(`key backend ${name}`, () => {
    let subject: KeyBackendUnderTest;
    before(async () => {
      subject = await open();
    });
    after(() => subject.close());

    for (const algorithm of ["ed25519", "ecdsa-p256"] as const) {
      test(`makes an ${algorithm} key whose signatures verify`, async () => {
        const key = await subject.backend.generate(algorithm);
        assert.equal(key.algorithm, algorithm);
        const longest = algorithm === "ed25519" ? (subject.maxEd25519Bytes ?? 100_000) : 100_000;
        for (const data of [Buffer.from("a"), randomBytes(4096), randomBytes(longest)]) {
          assert.ok(isSignedBy(algorithm, key.publicKeyDer, data, await subject.backend.sign(key.handle, data)));
        }
      });

      test(`signs with the same ${algorithm} key after a restart`, async () => {
        if (subject.reopen === undefined) return;
        const key = await subject.backend.generate(algorithm);
        const data = randomBytes(64);
        const reopened = await subject.reopen();
        assert.ok(isSignedBy(algorithm, key.publicKeyDer, data, await reopened.sign(key.handle, data)));
      });
    }

    test("gives every key its own handle", async () => {
      const keys = await Promise.all([1, 2, 3, 4].map(() => subject.backend.generate("ed25519")));
      assert.equal(new Set(keys.map((key) => key.handle)).size, 4);
      assert.equal(new Set(keys.map((key) => key.publicKeyDer.toString("hex"))).size, 4);
    });

    test("signs for many at once", async () => {
      const key = await subject.backend.generate("ecdsa-p256");
      const texts = Array.from({ length: 32 }, (_, index) => Buffer.from(`message ${index}`));
      const signatures = await Promise.all(texts.map((text) => subject.backend.sign(key.handle, text)));
      for (const [index, text] of texts.entries())
        assert.ok(isSignedBy("ecdsa-p256", key.publicKeyDer, text, signatures[index] ?? Buffer.alloc(0)));
    });

    test("answers NOT_FOUND for an unknown handle", async () => {
      await assert.rejects(subject.backend.sign("00000000-0000-4000-8000-000000000000", Buffer.from("x")), (error) =>
        isMezError(error, "NOT_FOUND"),
      );
    });

    test("never signs with a destroyed key again", async () => {
      const key = await subject.backend.generate("ed25519");
      const other = await subject.backend.generate("ed25519");
      await subject.backend.destroy(key.handle);
      await assert.rejects(subject.backend.sign(key.handle, Buffer.from("x")), (error) => isMezError(error, "NOT_FOUND"));
      const reopened = await subject.reopen?.();
      if (reopened) await assert.rejects(reopened.sign(key.handle, Buffer.from("x")), (error) => isMezError(error, "NOT_FOUND"));
      await subject.backend.sign(other.handle, Buffer.from("x"));
    });

    test("takes the destruction of an unknown key calmly", async () => {
      await subject.backend.destroy("00000000-0000-4000-8000-000000000000");
    });
  });
}

// --- internal ---

function isSignedBy(algorithm: KeyAlgorithm, publicKeyDer: Buffer, data: Buffer, signature: Buffer): boolean {
  const key = createPublicKey({ key: publicKeyDer, format: "der", type: "spki" });
  if (signature.length !== 64) return false;
  return algorithm === "ed25519"
    ? verify(null, data, key, signature)
    : verify("sha256", data, { key, dsaEncoding: "ieee-p1363" }, signature);
}
