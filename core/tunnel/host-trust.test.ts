import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { digestTrust, digestTrustFiles, type HostAuthorities, judgeTrust, MAX_TRUST_BYTES } from "./host-trust.js";

const [OLD, NEW, OLD_CERTIFICATE, NEW_CERTIFICATE] = [randomBytes(51), randomBytes(51), randomBytes(400), randomBytes(400)].map(
  (bytes) => bytes.toString("base64"),
) as [string, string, string, string];

for (const [what, held, signing, expected] of [
  ["the same keys in another order", [OLD, NEW], [NEW, OLD], "current"],
  ["a key less that does not sign yet", [OLD], [OLD, NEW], "outdated"],
  ["a key less that signs", [OLD], [NEW, OLD], "unusable"],
  ["a key that counts no more", [OLD, NEW], [NEW], "outdated"],
  ["other keys", [OLD], [NEW], "unusable"],
  ["nothing", [], [OLD], "unusable"],
] as const)
  test(`who trusts ${what} is told so`, () => {
    assert.equal(judgeTrust(digestTrust(of(held)), of(signing)), expected);
  });

test("certificates count as SSH keys do, but the node shows none", () => {
  const held = digestTrust({ sshPublicKeys: [OLD, NEW], certificatesPem: [pem(OLD_CERTIFICATE)] });
  assert.equal(
    judgeTrust(held, { sshPublicKeys: [NEW, OLD], certificatesPem: [NEW_CERTIFICATE, OLD_CERTIFICATE].map(pem) }),
    "outdated",
  );
});

test("a login's files name the keys that they were written of, however lines are broken", () => {
  const authorities = { sshPublicKeys: [OLD, NEW], certificatesPem: [OLD_CERTIFICATE, NEW_CERTIFICATE].map(pem) };
  const knownHosts = `@cert-authority * ssh-ed25519 ${NEW} dev\nother.host ssh-ed25519 ${OLD_CERTIFICATE}\n@cert-authority * ssh-ed25519 ${OLD}\n`;
  const hostCaPem = authorities.certificatesPem.map((text) => text.replaceAll(/(.{64})/g, "$1\r\n")).join("more text\n");
  assert.deepEqual(digestTrustFiles(knownHosts, hostCaPem), digestTrust(authorities));
});

test("whatever stands in the files fits a request", () => {
  const keys = Array.from({ length: 100 }, () => randomBytes(51).toString("base64"));
  assert.equal(digestTrust(of(keys)).length, MAX_TRUST_BYTES);
  assert.deepEqual(digestTrust(of([OLD, OLD])), digestTrust(of([OLD])));
  for (const text of ["", "@cert-authority", "-----BEGIN CERTIFICATE-----", "\0".repeat(1000)])
    assert.equal(digestTrustFiles(text, text).length, 0);
});

test("a proxy that is told nonsense says what is true of it", () => {
  for (const held of [Buffer.alloc(1), Buffer.alloc(MAX_TRUST_BYTES, "x")]) assert.equal(judgeTrust(held, of([OLD])), "unusable");
});

// --- internal ---

function of(sshPublicKeys: readonly string[]): HostAuthorities {
  return { sshPublicKeys, certificatesPem: [] };
}

function pem(base64: string): string {
  return `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`;
}
