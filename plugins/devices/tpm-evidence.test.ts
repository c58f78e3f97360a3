import assert from "node:assert/strict";
import { createHash, generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { projectFile } from "../../test/fixtures/project-file.js";
import { parseDeviceKey } from "./device.js";
import { makeCredential } from "./tpm-credential.js";
import { type TpmEvidence, TpmTrust } from "./tpm-evidence.js";
import { parseTpmPublic } from "./tpm-public.js";

/** Of a TPM as a program; the file says which. */
const fixture = JSON.parse(readFileSync(projectFile("test/fixtures/tpm-evidence.json"), "utf8")) as Readonly<
  Record<"keyPublic" | "endorsementPublic" | "endorsementCertificate" | "maker", string>
>;
const EVIDENCE: TpmEvidence = {
  keyPublic: Buffer.from(fixture.keyPublic, "base64"),
  endorsementPublic: Buffer.from(fixture.endorsementPublic, "base64"),
  endorsementCertificate: Buffer.from(fixture.endorsementCertificate, "base64"),
};
const clock = { now: () => new Date("2027-06-01T00:00:00Z") };
const trust = new TpmTrust(fixture.maker, clock);
/** Where the attributes stand in a TPMT_PUBLIC. */
const ATTRIBUTES_AT = 4;

test("believes a TPM whose maker is known, and reads its keys", () => {
  const found = trust.check(EVIDENCE);
  assert.equal(found.assurance, "tpm");
  parseDeviceKey(found.publicKey);
  const digest = createHash("sha256").update(EVIDENCE.keyPublic).digest();
  assert.deepEqual(found.name, Buffer.concat([Buffer.from("000b", "hex"), digest]));
  assert.match(found.endorsementKey, /^[0-9a-f]{64}$/);
});

for (const [what, makers, evidence, at] of [
  ["no maker is known", "", EVIDENCE, "2027-06-01"],
  ["the TPM shows no certificate", fixture.maker, { ...EVIDENCE, endorsementCertificate: Buffer.alloc(0) }, "2027-06-01"],
  ["the certificate is not valid yet", fixture.maker, EVIDENCE, "2020-01-01"],
] as const)
  test(`does not vouch for a TPM when ${what}`, () => {
    const found = new TpmTrust(makers, { now: () => new Date(at) }).check(evidence);
    assert.equal(found.assurance, "tpm_unverified");
  });

for (const [what, change] of [
  ["could leave the TPM", { keyPublic: withAttributes(EVIDENCE.keyPublic, (bits) => bits & ~(1 << 1)) }],
  ["could be moved", { keyPublic: withAttributes(EVIDENCE.keyPublic, (bits) => bits & ~(1 << 4)) }],
  ["was made elsewhere", { keyPublic: withAttributes(EVIDENCE.keyPublic, (bits) => bits & ~(1 << 5)) }],
  ["does not sign", { keyPublic: withAttributes(EVIDENCE.keyPublic, (bits) => bits & ~(1 << 18)) }],
  ["also decrypts", { keyPublic: withAttributes(EVIDENCE.keyPublic, (bits) => bits | (1 << 17)) }],
  ["is the endorsement key", { keyPublic: EVIDENCE.endorsementPublic }],
  ["stands for the endorsement key", { endorsementPublic: EVIDENCE.keyPublic }],
  [
    "has an endorsement key that anybody may decrypt with",
    { endorsementPublic: withAttributes(EVIDENCE.endorsementPublic, (bits) => bits & ~(1 << 16)) },
  ],
  ["has an endorsement key that is not the certified one", { endorsementPublic: withOtherModulus(EVIDENCE.endorsementPublic) }],
] as const)
  test(`refuses a key that ${what}`, () => refuses(() => trust.check({ ...EVIDENCE, ...change }), "ENROLMENT_REFUSED"));

for (let length = 0; length < EVIDENCE.keyPublic.length; length += 7)
  test(`refuses a public area of ${length} bytes that ends too early`, () =>
    refuses(() => parseTpmPublic(EVIDENCE.keyPublic.subarray(0, length)), "INVALID_ARGUMENT"));

test("refuses a public area with bytes behind it, of another name algorithm, curve or type", () => {
  const changed = (at: number, value: number): Buffer => {
    const bytes = Buffer.from(EVIDENCE.keyPublic);
    bytes.writeUInt16BE(value, at);
    return bytes;
  };
  for (const bytes of [Buffer.concat([EVIDENCE.keyPublic, Buffer.alloc(1)]), changed(0, 0x0008), changed(2, 0x000c)])
    refuses(() => parseTpmPublic(bytes), "INVALID_ARGUMENT");
  // The point does not lie on the curve.
  const off = Buffer.from(EVIDENCE.keyPublic);
  off.writeUInt8(off.readUInt8(off.length - 1) ^ 1, off.length - 1);
  refuses(() => parseTpmPublic(off), "INVALID_ARGUMENT");
});

test("a credential has the sizes that a TPM reads, and is another each time", () => {
  const { endorsement, name } = trust.check(EVIDENCE);
  const secret = Buffer.alloc(32, 7);
  const [one, other] = [makeCredential(endorsement, name, secret), makeCredential(endorsement, name, secret)];
  assert.deepEqual([one.credential.length, one.credentialSecret.length], [2 + 2 + 32 + 2 + 32, 2 + 256]);
  assert.equal(one.credential.readUInt16BE(0), one.credential.length - 2);
  assert.notDeepEqual(one.credential, other.credential);
});

for (const [what, pem] of [
  ["text", "these are the makers"],
  ["a key", generateKeyPairSync("ed25519").publicKey.export({ format: "pem", type: "spki" }).toString()],
  ["a damaged certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"],
] as const)
  test(`a file of makers that holds ${what} is refused`, () => refuses(() => new TpmTrust(pem, clock), "CONFIG_INVALID"));

function withAttributes(bytes: Buffer, change: (bits: number) => number): Buffer {
  const changed = Buffer.from(bytes);
  changed.writeUInt32BE(change(changed.readUInt32BE(ATTRIBUTES_AT)) >>> 0, ATTRIBUTES_AT);
  return changed;
}

function withOtherModulus(bytes: Buffer): Buffer {
  const changed = Buffer.from(bytes);
  changed.writeUInt8(changed.readUInt8(changed.length - 2) ^ 1, changed.length - 2);
  return changed;
}

function refuses(work: () => unknown, code: "ENROLMENT_REFUSED" | "INVALID_ARGUMENT" | "CONFIG_INVALID"): void {
  assert.throws(work, (error) => isMezError(error, code));
}
