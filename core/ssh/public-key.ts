import { createHash, createPublicKey, type KeyObject } from "node:crypto";
import { MezError } from "../errors/error.js";
import { mpint, string, WireReader } from "./wire.js";

/** The key types that we use and accept. No DSA, no security-key types. */
export const SSH_KEY_TYPES = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "ssh-rsa",
] as const;

export type SshKeyType = (typeof SSH_KEY_TYPES)[number];

/** A plain public key (never a certificate). */
export interface SshPublicKey {
  readonly type: SshKeyType;
  /** The wire form, as it stands in base64 in `authorized_keys`. */
  readonly blob: Buffer;
  readonly keyObject: KeyObject;
}

/** What the NIST curves are called, and their sizes. */
export const ECDSA_CURVES = {
  "ecdsa-sha2-nistp256": { name: "nistp256", jwk: "P-256", bytes: 32, hash: "sha256" },
  "ecdsa-sha2-nistp384": { name: "nistp384", jwk: "P-384", bytes: 48, hash: "sha384" },
  "ecdsa-sha2-nistp521": { name: "nistp521", jwk: "P-521", bytes: 66, hash: "sha512" },
} as const;

/** Tells whether a key type is one that we read, e.g. `ssh-ed25519`. */
export function isSshKeyType(type: string): type is SshKeyType {
  return (SSH_KEY_TYPES as readonly string[]).includes(type);
}

/**
 * Reads the wire form of a plain public key: Ed25519, ECDSA on a NIST curve, or RSA of 2048 to 16384 bits. The most
 * recent 1,000 keys are remembered, because building the key object costs more than a verification.
 * @throws {MezError} `SSH_KEY_UNSUPPORTED` for another type or size, also for a certificate; `SSH_MALFORMED`
 * @see RFC 4253, 6.6; RFC 5656, 3.1; RFC 8709, 4
 */
export function parsePublicKey(blob: Buffer): SshPublicKey {
  const cacheKey = blob.toString("latin1");
  const known = cache.get(cacheKey);
  if (known) return known;
  const copy = Buffer.from(blob);
  const reader = new WireReader(copy, "public key");
  const type = reader.text();
  if (!isSshKeyType(type)) throw unsupported(type);
  const keyObject = readKeyObject(type, reader);
  reader.end();
  return remember(cacheKey, new ParsedKey(type, copy, keyObject));
}

/**
 * The SSH form of a key object, public or private.
 * @throws {MezError} `SSH_KEY_UNSUPPORTED`
 */
export function publicKeyOf(keyObject: KeyObject): SshPublicKey {
  const jwk = (keyObject.type === "private" ? createPublicKey(keyObject) : keyObject).export({ format: "jwk" });
  const bytes = (field: string | undefined) => Buffer.from(field ?? "", "base64url");
  if (jwk.kty === "OKP" && jwk.crv === "Ed25519")
    return parsePublicKey(Buffer.concat([string("ssh-ed25519"), string(bytes(jwk.x))]));
  if (jwk.kty === "RSA") return parsePublicKey(Buffer.concat([string("ssh-rsa"), mpint(bytes(jwk.e)), mpint(bytes(jwk.n))]));
  for (const [type, curve] of Object.entries(ECDSA_CURVES)) {
    if (jwk.kty !== "EC" || jwk.crv !== curve.jwk) continue;
    const point = Buffer.concat([Buffer.of(4), bytes(jwk.x), bytes(jwk.y)]);
    return parsePublicKey(Buffer.concat([string(type), string(curve.name), string(point)]));
  }
  throw unsupported(`${jwk.kty ?? "unknown"} ${jwk.crv ?? ""}`.trim());
}

/** The fingerprint as OpenSSH prints it: `SHA256:` and unpadded base64. For a certificate, give its subject key. */
export function fingerprintOf(blob: Buffer): string {
  return `SHA256:${createHash("sha256").update(blob).digest("base64").replace(/=+$/, "")}`;
}

// --- internal ---

const ED25519_SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex"); // RFC 8410, 4
const MIN_RSA_BITS = 2048;
const MAX_RSA_BITS = 16_384; // OpenSSH sshbuf.h, SSHBUF_MAX_BIGNUM
const MAX_CACHED_KEYS = 1_000;

const cache = new Map<string, SshPublicKey>();

/** Ed25519 has no invalid keys of the right length, so its key object is made when it is needed: not for a certificate's subject. */
class ParsedKey implements SshPublicKey {
  #keyObject: KeyObject | (() => KeyObject);

  constructor(
    readonly type: SshKeyType,
    readonly blob: Buffer,
    keyObject: KeyObject | (() => KeyObject),
  ) {
    this.#keyObject = keyObject;
  }

  get keyObject(): KeyObject {
    if (typeof this.#keyObject === "function") this.#keyObject = this.#keyObject();
    return this.#keyObject;
  }
}

function remember(cacheKey: string, key: SshPublicKey): SshPublicKey {
  if (cache.size >= MAX_CACHED_KEYS) {
    const [oldest] = cache.keys();
    if (oldest !== undefined) cache.delete(oldest);
  }
  cache.set(cacheKey, key);
  return key;
}

function readKeyObject(type: SshKeyType, reader: WireReader): KeyObject | (() => KeyObject) {
  if (type === "ssh-ed25519") {
    const point = reader.string();
    if (point.length !== 32) throw malformed("Ed25519 key is not 32 bytes long");
    const key = Buffer.concat([ED25519_SPKI_PREFIX, point]);
    return () => importKey(() => createPublicKey({ key, format: "der", type: "spki" }));
  }
  if (type === "ssh-rsa") {
    const exponent = reader.mpint(MAX_RSA_BITS / 8);
    const modulus = reader.mpint(MAX_RSA_BITS / 8);
    const jwk = { kty: "RSA", n: base64urlNumber(modulus), e: base64urlNumber(exponent) };
    const key = importKey(() => createPublicKey({ key: jwk, format: "jwk" }));
    const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
    if (bits < MIN_RSA_BITS)
      throw new MezError("SSH_KEY_UNSUPPORTED", `RSA key of ${bits} bits is too short; use at least ${MIN_RSA_BITS}`);
    return key;
  }
  const curve = ECDSA_CURVES[type];
  if (reader.text() !== curve.name) throw malformed("ECDSA key names another curve than its type");
  const point = reader.string();
  if (point.length !== 1 + 2 * curve.bytes || point[0] !== 4) throw malformed("ECDSA point is not in uncompressed form");
  const jwk = {
    kty: "EC",
    crv: curve.jwk,
    x: point.subarray(1, 1 + curve.bytes).toString("base64url"),
    y: point.subarray(1 + curve.bytes).toString("base64url"),
  };
  return importKey(() => createPublicKey({ key: jwk, format: "jwk" }));
}

function importKey(create: () => KeyObject): KeyObject {
  try {
    return create();
  } catch (cause) {
    throw new MezError("SSH_MALFORMED", "the SSH public key does not hold a valid key", { cause });
  }
}

function base64urlNumber(bytes: Buffer): string {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  return bytes.subarray(start).toString("base64url");
}

function malformed(problem: string): MezError {
  return new MezError("SSH_MALFORMED", `the SSH public key is not valid: ${problem}`);
}

function unsupported(type: string): MezError {
  return new MezError(
    "SSH_KEY_UNSUPPORTED",
    `key type "${type.slice(0, 60)}" is not supported; use one of ${SSH_KEY_TYPES.join(", ")}`,
  );
}
