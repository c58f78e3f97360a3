import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { formatPublicKey } from "./authorized-key.js";
import { formatCertificate, parseCertificate, parseCertificateLine } from "./certificate.js";
import { type CertificateExpectation, checkCertificate } from "./certificate-check.js";
import { type CertificateRequest, issueCertificate, issueCertificateWith, localSigner } from "./certificate-issue.js";
import { generateSshKeyPair, SshPrivateKey } from "./private-key.js";
import { encodeSignature } from "./signature.js";
import { string, uint32, uint64 } from "./wire.js";

const authority = generateSshKeyPair();
const subject = generateSshKeyPair();
const noon = new Date("2030-01-01T12:00:00Z");
const request: CertificateRequest = {
  role: "user",
  subjectBlob: subject.publicKeyBlob,
  serial: 42n,
  keyId: "alice",
  principals: ["alice", "deploy"],
  validAfter: new Date("2030-01-01T11:00:00Z"),
  validBefore: new Date("2030-01-01T13:00:00Z"),
  criticalOptions: { "source-address": "192.0.2.0/24,2001:db8::/32", "force-command": "uptime" },
  extensions: { "permit-pty": "", "permit-agent-forwarding": "" },
};
const expected: CertificateExpectation = {
  role: "user",
  authorities: [authority.publicKeyBlob],
  now: noon,
  principal: "alice",
  sourceAddress: "192.0.2.9",
};

const keyTypes = [
  ["ed25519", subject],
  ["P-256", new SshPrivateKey(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey)],
  ["P-384", new SshPrivateKey(generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey)],
  ["P-521", new SshPrivateKey(generateKeyPairSync("ec", { namedCurve: "P-521" }).privateKey)],
  ["RSA", new SshPrivateKey(generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey)],
] as const;

for (const [name, key] of keyTypes) {
  test(`issues, reads and believes a certificate for a key of type ${name} by a CA of the same type`, () => {
    const blob = issueCertificate({ ...request, subjectBlob: key.publicKeyBlob }, key);
    const certificate = parseCertificate(blob);
    checkCertificate(certificate, { ...expected, authorities: [key.publicKeyBlob] });
    assert.deepEqual(
      [...certificate.extensions],
      [
        ["permit-agent-forwarding", ""],
        ["permit-pty", ""],
      ],
    );
    assert.equal(certificate.subjectBlob.equals(key.publicKeyBlob), true);
    assert.equal(parseCertificateLine(formatCertificate(blob, "alice")).serial, 42n);
  });
}

test("issues with a CA key in another place, and believes only what verifies", async () => {
  const blob = await issueCertificateWith(request, localSigner(authority));
  checkCertificate(parseCertificate(blob), expected);
  const broken = { publicKeyBlob: authority.publicKeyBlob, sign: async () => encodeSignature("ssh-ed25519", Buffer.alloc(64)) };
  await assert.rejects(issueCertificateWith(request, broken), { code: "SSH_SIGNATURE_INVALID" });
});

for (const [situation, change] of [
  ["no principals", { principals: [] }],
  ["257 principals", { principals: Array.from({ length: 257 }, (_, index) => `user${index}`) }],
  ["an empty principal", { principals: [""] }],
  ["a line break in a principal", { principals: ["alice\nroot"] }],
  ["no key id", { keyId: "" }],
  ["an end before its begin", { validBefore: request.validAfter }],
  ["a time that is none", { validBefore: new Date("never") }],
  ["a serial of 65 bits", { serial: 2n ** 64n }],
  ["an unknown critical option", { criticalOptions: { "verify-required": "" } }],
  ["options for a host", { role: "host" }],
] as const) {
  test(`does not issue a certificate with ${situation}`, () => {
    assert.throws(() => issueCertificate({ ...request, ...change }, authority), { code: "INVALID_ARGUMENT" });
  });
}

for (const [situation, requested, wanted, rule] of [
  ["another CA", {}, { authorities: [subject.publicKeyBlob] }, "authority"],
  ["no CA at all", {}, { authorities: [] }, "authority"],
  ["the role of a host", { role: "host", criticalOptions: {}, extensions: {} }, {}, "role"],
  ["the first second after its end", {}, { now: request.validBefore }, "validity"],
  ["the last second before its begin", {}, { now: new Date(request.validAfter.getTime() - 1) }, "validity"],
  ["another login", {}, { principal: "root" }, "principal"],
  ["a login that differs in case", {}, { principal: "Alice" }, "principal"],
  ["another address", {}, { sourceAddress: "198.51.100.1" }, "source-address"],
  ["an unknown address", {}, { sourceAddress: undefined }, "source-address"],
  ["an address that is none", {}, { sourceAddress: "192.0.2.9.evil" }, "source-address"],
] as const) {
  test(`refuses a certificate that is measured against ${situation}`, () => {
    const certificate = parseCertificate(issueCertificate({ ...request, ...requested }, authority));
    assert.throws(() => checkCertificate(certificate, { ...expected, ...wanted }), {
      code: "SSH_CERTIFICATE_REFUSED",
      fields: { rule },
    });
  });
}

/** A certificate made by hand, well signed, so that only its content can be the reason for a refusal. */
function forge(fields: {
  readonly options?: Buffer;
  readonly principals?: Buffer;
  readonly role?: number;
  readonly ca?: Buffer;
  readonly signer?: (data: Buffer) => Buffer;
  readonly tail?: Buffer;
}): Buffer {
  const ca = fields.ca ?? authority.publicKeyBlob;
  const unsigned = Buffer.concat([
    string("ssh-ed25519-cert-v01@openssh.com"),
    string(Buffer.alloc(32)),
    subject.publicKeyBlob.subarray(15),
    uint64(1n),
    uint32(fields.role ?? 1),
    string("alice"),
    string(fields.principals ?? string("alice")),
    uint64(0n),
    uint64(2n ** 64n - 1n),
    string(fields.options ?? Buffer.alloc(0)),
    string(""),
    string(""),
    string(ca),
  ]);
  const sign = fields.signer ?? ((data: Buffer) => issueSignature(data));
  return Buffer.concat([unsigned, string(sign(unsigned)), fields.tail ?? Buffer.alloc(0)]);
}

const { createSignature } = await import("./signature.js");
const issueSignature = (data: Buffer) => createSignature(authority, data);
const option = (name: string, value: Buffer) => Buffer.concat([string(name), string(value)]);

test("believes the certificate that the next tests change", () => {
  checkCertificate(parseCertificate(forge({})), expected);
});

for (const [situation, blob, code] of [
  ["no principals, which OpenSSH reads as anybody", forge({ principals: Buffer.alloc(0) }), "SSH_CERTIFICATE_REFUSED"],
  ["an unknown critical option", forge({ options: option("verify-required", Buffer.alloc(0)) }), "SSH_CERTIFICATE_REFUSED"],
  [
    "a source-address that is none",
    forge({ options: option("source-address", string("everywhere")) }),
    "SSH_CERTIFICATE_REFUSED",
  ],
  [
    "options out of order",
    forge({ options: Buffer.concat([option("source-address", string("192.0.2.0/24")), option("force-command", string("x"))]) }),
    "SSH_MALFORMED",
  ],
  [
    "an option given twice",
    forge({ options: Buffer.concat([option("force-command", string("x")), option("force-command", string("y"))]) }),
    "SSH_MALFORMED",
  ],
  [
    "bytes after an option's value",
    forge({ options: option("force-command", Buffer.concat([string("x"), Buffer.of(0)])) }),
    "SSH_MALFORMED",
  ],
  ["bytes after its end", forge({ tail: Buffer.of(0) }), "SSH_MALFORMED"],
  ["a role that is neither user nor host", forge({ role: 3 }), "SSH_MALFORMED"],
  ["a certificate as its CA", forge({ ca: issueCertificate(request, authority) }), "SSH_MALFORMED"],
  ["a signature of zeros", forge({ signer: () => encodeSignature("ssh-ed25519", Buffer.alloc(64)) }), "SSH_CERTIFICATE_REFUSED"],
  [
    "a signature that names another algorithm",
    forge({ signer: (data) => Buffer.concat([string("ssh-rsa"), issueSignature(data).subarray(15)]) }),
    "SSH_CERTIFICATE_REFUSED",
  ],
  [
    "bytes after its signature",
    forge({ signer: (data) => Buffer.concat([issueSignature(data), Buffer.of(0)]) }),
    "SSH_CERTIFICATE_REFUSED",
  ],
] as const) {
  test(`refuses a certificate with ${situation}`, () => {
    assert.throws(() => checkCertificate(parseCertificate(blob), expected), { code });
  });
}

test("refuses a certificate cut short at any byte, or with any byte changed", () => {
  const blob = issueCertificate(request, authority);
  const check = (bytes: Buffer) => checkCertificate(parseCertificate(bytes), expected);
  for (let length = 0; length < blob.length; length++) assert.throws(() => check(blob.subarray(0, length)), { name: "MezError" });
  for (let index = 0; index < blob.length; index++) {
    const changed = Buffer.from(blob);
    changed[index] = (changed[index] ?? 0) ^ 1;
    assert.throws(() => check(changed), { name: "MezError" }, `byte ${index}`);
  }
});

describe("certificates and ssh-keygen", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "mezite-certificate-"));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const keygen = (...args: string[]) =>
    execFileSync("ssh-keygen", args, { encoding: "utf8", env: { ...process.env, TZ: "UTC" } });

  test("ssh-keygen reads what we issue", () => {
    const file = join(folder, "ours-cert.pub");
    writeFileSync(file, `${formatCertificate(issueCertificate(request, authority))}\n`);
    const shown = keygen("-L", "-f", file);
    for (const line of [
      'Key ID: "alice"',
      "Serial: 42",
      "from 2030-01-01T11:00:00 to 2030-01-01T13:00:00",
      "force-command uptime",
      "source-address 192.0.2.0/24,2001:db8::/32",
      "permit-pty",
    ]) {
      assert.ok(shown.includes(line), `${line} in ${shown}`);
    }
  });

  for (const [type, bits] of [
    ["ed25519", "0"],
    ["ecdsa", "256"],
    ["ecdsa", "384"],
    ["ecdsa", "521"],
    ["rsa", "3072"],
  ] as const) {
    test(`we read and believe what ssh-keygen issues with a CA of type ${type} ${bits}`, () => {
      const [ca, user] = [join(folder, `ca-${type}-${bits}`), join(folder, `user-${type}-${bits}`)];
      for (const file of [ca, user]) keygen("-q", "-t", type, ...(bits === "0" ? [] : ["-b", bits]), "-N", "", "-f", file);
      keygen(
        "-q",
        "-s",
        ca,
        "-I",
        "bob",
        "-n",
        "bob,root",
        "-z",
        "7",
        "-V",
        "-5m:+1h",
        "-O",
        "source-address=127.0.0.0/8",
        `${user}.pub`,
      );
      const certificate = parseCertificateLine(readFileSync(`${user}-cert.pub`, "utf8"));
      const caBlob = Buffer.from(readFileSync(`${ca}.pub`, "utf8").split(" ")[1] ?? "", "base64");
      checkCertificate(certificate, {
        role: "user",
        authorities: [caBlob],
        now: new Date(),
        principal: "bob",
        sourceAddress: "::ffff:127.0.0.1",
      });
      assert.deepEqual([certificate.serial, certificate.keyId, certificate.principals], [7n, "bob", ["bob", "root"]]);
      assert.equal(certificate.extensions.has("permit-pty"), true);
      assert.equal(formatPublicKey(certificate.subjectBlob).split(" ")[1], readFileSync(`${user}.pub`, "utf8").split(" ")[1]);
    });
  }
});
