import { sign, verify } from "node:crypto";
import { MezError } from "../errors/error.js";
import type { SshPrivateKey } from "./private-key.js";
import { ECDSA_CURVES, parsePublicKey, type SshKeyType } from "./public-key.js";
import { mpint, string, WireReader } from "./wire.js";

/** The signature algorithms that we make and accept. `ssh-rsa` (SHA-1) is not among them. */
export type SignatureAlgorithm = Exclude<SshKeyType, "ssh-rsa"> | "rsa-sha2-256" | "rsa-sha2-512";

/** The algorithms that a key of this type may sign with, the preferred one first. */
export function signatureAlgorithmsOf(type: SshKeyType): readonly [SignatureAlgorithm, ...SignatureAlgorithm[]] {
  return type === "ssh-rsa" ? ["rsa-sha2-512", "rsa-sha2-256"] : [type];
}

/**
 * Signs `data`.
 * @param algorithm Only matters for RSA; left out, `rsa-sha2-512`.
 * @returns An SSH signature: `string algorithm, string signature`.
 * @throws {MezError} `SSH_KEY_UNSUPPORTED` when the key cannot make that kind of signature
 */
export function createSignature(
  key: SshPrivateKey,
  data: Buffer,
  algorithm: SignatureAlgorithm = signatureAlgorithmsOf(key.type)[0],
): Buffer {
  if (!signatureAlgorithmsOf(key.type).includes(algorithm)) {
    throw new MezError("SSH_KEY_UNSUPPORTED", `a key of type ${key.type} cannot sign with ${algorithm}`);
  }
  const raw = sign(hashOf(algorithm), data, { key: key.keyObject, dsaEncoding: "ieee-p1363" });
  return encodeSignature(algorithm, raw);
}

/**
 * Wraps what a key backend returned into an SSH signature.
 * @param raw Ed25519: 64 bytes; ECDSA: r and s of equal length (IEEE P1363); RSA: the PKCS #1 v1.5 signature.
 */
export function encodeSignature(algorithm: SignatureAlgorithm, raw: Buffer): Buffer {
  return Buffer.concat([string(algorithm), string(rawToWire(algorithm, raw))]);
}

/**
 * The inside of an SSH signature, without the algorithm.
 * @see RFC 5656, 3.1.2; RFC 8709, 6; RFC 8332, 3
 */
export function rawToWire(algorithm: SignatureAlgorithm, raw: Buffer): Buffer {
  if (!isEcdsa(algorithm)) return raw;
  const half = raw.length / 2;
  return Buffer.concat([mpint(raw.subarray(0, half)), mpint(raw.subarray(half))]);
}

/**
 * Checks an SSH signature.
 * @param publicKeyBlob A plain public key.
 * @param expected The algorithm that was negotiated; any other one is refused, also if the key could make it.
 * @returns The algorithm that was used.
 * @throws {MezError} `SSH_SIGNATURE_INVALID`, `SSH_KEY_UNSUPPORTED`, `SSH_MALFORMED`
 */
export function verifySignature(
  publicKeyBlob: Buffer,
  data: Buffer,
  signature: Buffer,
  expected?: SignatureAlgorithm,
): SignatureAlgorithm {
  const key = parsePublicKey(publicKeyBlob);
  const reader = new WireReader(signature, "signature");
  const name = reader.text();
  const bytes = reader.string();
  reader.end();
  const algorithm = signatureAlgorithmsOf(key.type).find((allowed) => allowed === name);
  if (algorithm === undefined || (expected !== undefined && algorithm !== expected)) {
    throw new MezError(
      "SSH_SIGNATURE_INVALID",
      `signature algorithm "${name.slice(0, 60)}" is not allowed; expected ${expected ?? signatureAlgorithmsOf(key.type).join(" or ")}`,
    );
  }
  const raw = wireToRaw(algorithm, bytes);
  if (raw === null || !verify(hashOf(algorithm), data, { key: key.keyObject, dsaEncoding: "ieee-p1363" }, raw)) {
    throw new MezError("SSH_SIGNATURE_INVALID", "the signature does not match");
  }
  return algorithm;
}

// --- internal ---

function isEcdsa(algorithm: SignatureAlgorithm): algorithm is keyof typeof ECDSA_CURVES {
  return algorithm in ECDSA_CURVES;
}

function hashOf(algorithm: SignatureAlgorithm): string | null {
  if (algorithm === "ssh-ed25519") return null;
  if (algorithm === "rsa-sha2-256") return "sha256";
  return isEcdsa(algorithm) ? ECDSA_CURVES[algorithm].hash : "sha512";
}

function wireToRaw(algorithm: SignatureAlgorithm, bytes: Buffer): Buffer | null {
  if (algorithm === "ssh-ed25519") return bytes.length === 64 ? bytes : null;
  if (!isEcdsa(algorithm)) return bytes;
  const reader = new WireReader(bytes, "ECDSA signature");
  const length = ECDSA_CURVES[algorithm].bytes;
  const raw = Buffer.concat([reader.mpint(length), reader.mpint(length)]);
  reader.end();
  return raw;
}
