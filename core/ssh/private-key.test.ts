import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { formatPublicKey, parseAuthorizedKey } from "./authorized-key.js";
import { formatPrivateKey, generateSshKeyPair, parsePrivateKey, SshPrivateKey } from "./private-key.js";
import { fingerprintOf, parsePublicKey } from "./public-key.js";
import { createSignature, verifySignature } from "./signature.js";
import { mpint, string } from "./wire.js";

describe("keys and ssh-keygen", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "mezite-key-"));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const keys = [
    generateSshKeyPair(),
    ...["P-256", "P-384", "P-521"].map((namedCurve) => new SshPrivateKey(generateKeyPairSync("ec", { namedCurve }).privateKey)),
    new SshPrivateKey(generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey),
  ];

  for (const key of keys) {
    test(`ssh-keygen reads our private key file of type ${key.type}, and so do we`, () => {
      const text = formatPrivateKey(key, "a comment");
      const file = join(folder, key.type);
      writeFileSync(file, text, { mode: 0o600 });
      assert.equal(
        execFileSync("ssh-keygen", ["-y", "-f", file], { encoding: "utf8" }).trim(),
        formatPublicKey(key.publicKeyBlob, "a comment"),
      );
      assert.ok(execFileSync("ssh-keygen", ["-l", "-f", file], { encoding: "utf8" }).includes(fingerprintOf(key.publicKeyBlob)));
      const data = Buffer.from("data");
      verifySignature(key.publicKeyBlob, data, createSignature(parsePrivateKey(text), data));
    });
  }

  for (const [type, format, passphrase] of [
    ["ed25519", "RFC4716", ""],
    ["ed25519", "RFC4716", "secret"],
    ["ecdsa", "RFC4716", "secret"],
    ["ecdsa", "PEM", ""],
    ["ecdsa", "PKCS8", "secret"],
    ["rsa", "RFC4716", ""],
    ["rsa", "RFC4716", "secret"],
    ["rsa", "PEM", "secret"],
    ["rsa", "PKCS8", ""],
  ] as const) {
    test(`reads what ssh-keygen writes: ${type} as ${format}${passphrase ? " with a passphrase" : ""}`, () => {
      const file = join(folder, `theirs-${type}-${format}-${passphrase}`);
      execFileSync("ssh-keygen", ["-q", "-t", type, "-m", format, "-N", passphrase, "-f", file]);
      const text = readFileSync(file, "utf8");
      const key = parsePrivateKey(text, passphrase || undefined);
      assert.equal(key.publicKeyBlob.equals(parseAuthorizedKey(readFileSync(`${file}.pub`, "utf8")).publicKey.blob), true);
      if (passphrase !== "") assert.throws(() => parsePrivateKey(text, "wrong"), { code: "SSH_MALFORMED" });
      if (passphrase !== "") assert.throws(() => parsePrivateKey(text), { code: "SSH_MALFORMED" });
    });
  }
});

test("shows no private half when printed", () => {
  const key = generateSshKeyPair();
  assert.equal(JSON.stringify(key).includes((key.keyObject.export({ format: "jwk" }).d ?? "missing").slice(0, 20)), false);
});

test("refuses RSA keys of less than 2048 bits", () => {
  const { n, e } = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey.export({ format: "jwk" });
  const blob = Buffer.concat([
    string("ssh-rsa"),
    mpint(Buffer.from(e ?? "", "base64url")),
    mpint(Buffer.from(n ?? "", "base64url")),
  ]);
  assert.throws(() => parsePublicKey(blob), { code: "SSH_KEY_UNSUPPORTED", message: /1024 bits is too short/ });
});

for (const [situation, blob] of [
  ["nothing", Buffer.alloc(0)],
  ["an Ed25519 key of 31 bytes", Buffer.concat([string("ssh-ed25519"), string(Buffer.alloc(31))])],
  ["bytes after the key", Buffer.concat([generateSshKeyPair().publicKeyBlob, Buffer.of(0)])],
  [
    "a curve that its type does not name",
    Buffer.concat([string("ecdsa-sha2-nistp256"), string("nistp384"), string(Buffer.alloc(97, 4))]),
  ],
  [
    "a point that is not on the curve",
    Buffer.concat([string("ecdsa-sha2-nistp256"), string("nistp256"), string(Buffer.alloc(65, 4))]),
  ],
  ["a length beyond its end", Buffer.from("ffffffff00", "hex")],
] as const) {
  test(`refuses a public key that is ${situation}`, () => assert.throws(() => parsePublicKey(blob), { code: "SSH_MALFORMED" }));
}

for (const [line, options, comment] of [
  ["KEY", "", ""],
  ["KEY alice@laptop", "", "alice@laptop"],
  ['restrict,command="echo \\"a, b\\"" KEY two words', 'restrict,command="echo \\"a, b\\""', "two words"],
] as const) {
  test(`reads the authorized_keys line ${line}`, () => {
    const key = formatPublicKey(generateSshKeyPair().publicKeyBlob);
    const parsed = parseAuthorizedKey(line.replace("KEY", key));
    assert.deepEqual([parsed.options, parsed.comment], [options, comment]);
  });
}
