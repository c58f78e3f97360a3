import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { isMezError } from "../errors/error.js";
import { formatPublicKey } from "./authorized-key.js";
import { localSigner } from "./certificate-issue.js";
import { signFile, verifyFileSignature } from "./file-signature.js";
import { believedKeys, vouchFor } from "./former-key.js";
import { generateSshKeyPair } from "./private-key.js";

const folder = mkdtempSync(join(tmpdir(), "mezite-sshsig-"));
after(() => rmSync(folder, { recursive: true }));
const key = generateSshKeyPair();
const message = Buffer.from("what was said\n");

test("ssh-keygen verifies what we sign", async () => {
  const files = { signers: join(folder, "signers"), signature: join(folder, "message.sig") };
  writeFileSync(files.signers, `mezite ${formatPublicKey(key.publicKeyBlob)}\n`);
  writeFileSync(files.signature, await signFile(localSigner(key), "recording@mezite", message));
  const words = ["-Y", "verify", "-f", files.signers, "-I", "mezite", "-n", "recording@mezite", "-s", files.signature];
  assert.match(execFileSync("ssh-keygen", words, { input: message, encoding: "utf8" }), /Good "recording@mezite" signature/);
  assert.throws(() => execFileSync("ssh-keygen", words, { input: "something else", stdio: ["pipe", "pipe", "pipe"] }));
});

for (const hash of ["sha256", "sha512"]) {
  test(`verifies what ssh-keygen signs with ${hash}`, () => {
    const path = join(folder, `key-${hash}`);
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", path]);
    const words = ["-Y", "sign", "-f", path, "-n", "file", "-O", `hashalg=${hash}`];
    const signature = execFileSync("ssh-keygen", words, { input: message, encoding: "utf8", stdio: ["pipe", "pipe", "ignore"] });
    assert.equal(verifyFileSignature(signature, "file", message).readUInt32BE(0), "ssh-ed25519".length);
  });
}

test("refuses a signature over another message, for another purpose, or spoiled", async () => {
  const signature = await signFile(localSigner(key), "a", message);
  assert.deepEqual(verifyFileSignature(signature, "a", message), key.publicKeyBlob);
  const spoiled = (change: (blob: Buffer) => Buffer): string => {
    const [begin, ...lines] = signature.trim().split("\n");
    return [begin, change(Buffer.from(lines.slice(0, -1).join(""), "base64")).toString("base64"), lines.at(-1)].join("\n");
  };
  for (const [text, namespace, of, code] of [
    [signature, "a", Buffer.from("what was said"), "SSH_SIGNATURE_INVALID"],
    [signature, "b", message, "SSH_SIGNATURE_INVALID"],
    [
      spoiled((blob) => Buffer.concat([blob.subarray(0, -1), Buffer.of((blob.at(-1) ?? 0) ^ 1)])),
      "a",
      message,
      "SSH_SIGNATURE_INVALID",
    ],
    [spoiled((blob) => blob.subarray(0, 40)), "a", message, "SSH_MALFORMED"],
    [spoiled((blob) => Buffer.concat([blob, Buffer.of(0)])), "a", message, "SSH_MALFORMED"],
    [spoiled((blob) => blob.subarray(1)), "a", message, "SSH_MALFORMED"],
    ["", "a", message, "SSH_MALFORMED"],
    ["-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----", "a", message, "SSH_MALFORMED"],
  ] as const) {
    assert.throws(
      () => verifyFileSignature(text, namespace, of),
      (error) => isMezError(error, code),
    );
  }
});

test("believes former keys along a chain that ends at a trusted one, in whatever order they come", async () => {
  const [now, before, first, stranger] = Array.from({ length: 4 }, () => localSigner(generateSshKeyPair()));
  assert.ok(now && before && first && stranger);
  const text = (signer: typeof now) => signer.publicKeyBlob.toString("base64");
  const former = [
    await vouchFor(text(first), before),
    await vouchFor(text(stranger), stranger),
    await vouchFor(text(before), now),
    { publicKey: text(stranger), signature: (await vouchFor(text(before), now)).signature },
    { publicKey: text(stranger), signature: "none" },
  ];
  assert.deepEqual(believedKeys([text(now)], former), new Set([text(now), text(before), text(first)]));
  assert.deepEqual(believedKeys([], former), new Set());
});
