import { createHash } from "node:crypto";
import { MezError } from "../errors/error.js";
import type { SshSigner } from "./certificate-issue.js";
import { verifySignature } from "./signature.js";
import { string, uint32, WireReader } from "./wire.js";

/**
 * Signs a message as `ssh-keygen -Y sign` does. The signature is verified before it is believed, since keys may live
 * outside of this process.
 * @param namespace What the signature is for; one for something else does not verify. Not empty.
 * @returns The armored signature, with a line end.
 * @throws {MezError} `SSH_SIGNATURE_INVALID`; whatever the signer throws
 * @see OpenSSH PROTOCOL.sshsig
 */
export async function signFile(signer: SshSigner, namespace: string, message: Buffer): Promise<string> {
  const data = signedData(namespace, "sha512", message);
  const signature = await signer.sign(data);
  verifySignature(signer.publicKeyBlob, data, signature);
  const blob = Buffer.concat([
    MAGIC,
    uint32(VERSION),
    ...[signer.publicKeyBlob, namespace, "", "sha512", signature].map((field) => string(field)),
  ]);
  const lines = blob.toString("base64").match(/.{1,70}/g) ?? [];
  return [BEGIN, ...lines, END, ""].join("\n");
}

/**
 * Verifies what `signFile` or `ssh-keygen -Y sign` made.
 * @returns The public key that signed, in wire form. Whether it is trusted is for the caller to decide.
 * @throws {MezError} `SSH_SIGNATURE_INVALID`, `SSH_MALFORMED`, `SSH_KEY_UNSUPPORTED`
 */
export function verifyFileSignature(armored: string, namespace: string, message: Buffer): Buffer {
  const blob = unarmored(armored);
  const reader = new WireReader(blob.subarray(MAGIC.length), "signature of a file");
  if (!blob.subarray(0, MAGIC.length).equals(MAGIC) || reader.uint32() !== VERSION)
    throw new MezError("SSH_MALFORMED", `this is no SSH signature of a file, version ${VERSION}`);
  const publicKey = reader.string();
  const [signedNamespace, , hash] = [reader.text(), reader.string(), reader.text()];
  const signature = reader.string();
  reader.end();
  if (signedNamespace !== namespace) {
    const other = signedNamespace.slice(0, 60);
    throw new MezError("SSH_SIGNATURE_INVALID", `the signature is for "${other}", not for "${namespace}"`);
  }
  if (hash !== "sha256" && hash !== "sha512")
    throw new MezError("SSH_SIGNATURE_INVALID", `hash "${hash.slice(0, 20)}" is not allowed; use sha256 or sha512`);
  verifySignature(publicKey, signedData(namespace, hash, message), signature);
  return publicKey;
}

// --- internal ---

const MAGIC = Buffer.from("SSHSIG");
const VERSION = 1;
const BEGIN = "-----BEGIN SSH SIGNATURE-----";
const END = "-----END SSH SIGNATURE-----";

function signedData(namespace: string, hash: "sha256" | "sha512", message: Buffer): Buffer {
  const digest = createHash(hash).update(message).digest();
  return Buffer.concat([MAGIC, string(namespace), string(""), string(hash), string(digest)]);
}

function unarmored(text: string): Buffer {
  const lines = text.trim().split(/\r?\n/);
  const body = lines.slice(1, -1).join("");
  if (lines[0] !== BEGIN || lines.at(-1) !== END || !/^[0-9A-Za-z+/]+={0,2}$/.test(body))
    throw new MezError("SSH_MALFORMED", "this is no armored SSH signature");
  return Buffer.from(body, "base64");
}
