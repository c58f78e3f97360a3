import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { before, test } from "node:test";
import { type TestAuthority, testAuthority } from "../../test/fixtures/tls.js";
import { ShownAuthority } from "./shown-authority.js";

let ours: TestAuthority;
let other: TestAuthority;
let namesake: TestAuthority;
before(async () => {
  ours = await testAuthority();
  other = await testAuthority("Another CA");
  namesake = await testAuthority();
});

test("is the authority whose key signed what was shown, whichever are trusted besides", async () => {
  const shown = new ShownAuthority([other.certificatePem, namesake.certificatePem, ours.certificatePem]);
  assert.equal(shown.hash(), null);
  shown.note(await leafOf(ours));
  shown.note(await leafOf(ours));
  assert.deepEqual(shown.hash(), hashOf(ours));
});

test("is none when servers of two clusters were met on one connection", async () => {
  const shown = new ShownAuthority([ours.certificatePem, other.certificatePem]);
  shown.note(await leafOf(ours));
  shown.note(await leafOf(other));
  assert.equal(shown.hash(), null);
});

test("is none for what no trusted authority signed itself", async () => {
  const shown = new ShownAuthority([ours.certificatePem]);
  shown.note(await leafOf(namesake));
  assert.equal(shown.hash(), null);
});

// --- internal ---

async function leafOf(authority: TestAuthority): Promise<Buffer> {
  return new X509Certificate((await authority.issue("localhost")).certificatePem).raw;
}

function hashOf({ certificatePem }: TestAuthority): Buffer {
  const spki = new X509Certificate(certificatePem).publicKey.export({ format: "der", type: "spki" });
  return createHash("sha256").update(spki).digest();
}
