import { createPrivateKey, generateKeyPairSync, type JsonWebKey, type KeyObject, randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { MezError } from "../errors/error.js";
import { ECDSA_CURVES, parsePublicKey, publicKeyOf, type SshKeyType, type SshPublicKey } from "./public-key.js";
import { mpint, string, uint32, WireReader } from "./wire.js";

/** A private key held in this process. `JSON.stringify` and `console.log` show the public half only. */
export class SshPrivateKey {
  readonly type: SshKeyType;
  readonly publicKey: SshPublicKey;
  readonly #keyObject: KeyObject;

  /** @throws {MezError} `SSH_KEY_UNSUPPORTED` */
  constructor(keyObject: KeyObject) {
    this.publicKey = publicKeyOf(keyObject);
    this.type = this.publicKey.type;
    this.#keyObject = keyObject;
  }

  get keyObject(): KeyObject {
    return this.#keyObject;
  }

  /** The wire form of the public half. */
  get publicKeyBlob(): Buffer {
    return this.publicKey.blob;
  }
}

/** Makes a new Ed25519 key (15,000 a second; RSA is never made on a request path). */
export function generateSshKeyPair(): SshPrivateKey {
  return new SshPrivateKey(generateKeyPairSync("ed25519").privateKey);
}

/**
 * Writes a private key file as `ssh-keygen` does, without a passphrase. The file must be given mode 0600.
 * @see OpenSSH PROTOCOL.key
 */
export function formatPrivateKey(key: SshPrivateKey, comment = ""): string {
  const check = randomBytes(4);
  const secret = Buffer.concat([check, check, privateFields(key), string(comment)]);
  const padding = Buffer.from(Array.from({ length: (8 - (secret.length % 8)) % 8 }, (_, index) => index + 1));
  const file = Buffer.concat([
    MAGIC,
    string("none"),
    string("none"),
    string(""),
    uint32(1),
    string(key.publicKeyBlob),
    string(Buffer.concat([secret, padding])),
  ]);
  const lines = file.toString("base64").match(/.{1,70}/g) ?? [];
  return [HEADER, ...lines, FOOTER, ""].join("\n");
}

/**
 * Reads a private key: OpenSSH's own format, PKCS #1, SEC 1 or PKCS #8 in PEM.
 * @param passphrase Needed when the file is encrypted.
 * @throws {MezError} `SSH_KEY_UNSUPPORTED`; `SSH_MALFORMED` for anything unreadable, also a wrong passphrase
 */
export function parsePrivateKey(text: string, passphrase?: string): SshPrivateKey {
  const trimmed = text.trim();
  try {
    if (!trimmed.startsWith(HEADER)) return new SshPrivateKey(createPrivateKey({ key: trimmed, format: "pem", passphrase }));
    return readOpenSsh(trimmed, passphrase);
  } catch (cause) {
    if (cause instanceof MezError) throw cause;
    throw new MezError("SSH_MALFORMED", "the private key cannot be read; check its format and passphrase", { cause });
  }
}

/**
 * Reads the numbers of a private key that make it one, behind those of its public half.
 * @throws {MezError} `SSH_MALFORMED`, also when they belong to another public key
 * @see OpenSSH PROTOCOL.key; draft-ietf-sshm-ssh-agent, 3.2
 */
export function readSecretPart(publicKey: SshPublicKey, reader: WireReader): SshPrivateKey {
  const key = keyOf(secretJwk(publicKey, reader));
  if (!key.publicKeyBlob.equals(publicKey.blob)) throw malformed();
  return key;
}

// --- internal ---

const HEADER = "-----BEGIN OPENSSH PRIVATE KEY-----";
const FOOTER = "-----END OPENSSH PRIVATE KEY-----";
const MAGIC = Buffer.from("openssh-key-v1\0", "latin1");

type Sshpk = {
  parsePrivateKey(text: string, format: string, options: { passphrase?: string }): { toBuffer(format: string): Buffer };
};

function readOpenSsh(text: string, passphrase: string | undefined): SshPrivateKey {
  const file = Buffer.from(text.slice(HEADER.length, text.indexOf("-----END")).replace(/\s+/g, ""), "base64");
  if (!file.subarray(0, MAGIC.length).equals(MAGIC)) throw malformed();
  const reader = new WireReader(file.subarray(MAGIC.length), "private key file");
  if (reader.text() !== "none") {
    if (passphrase === undefined) throw new MezError("SSH_MALFORMED", "the private key is encrypted; give its passphrase");
    const sshpk = createRequire(import.meta.url)("sshpk") as Sshpk;
    return new SshPrivateKey(
      createPrivateKey({ key: sshpk.parsePrivateKey(text, "ssh", { passphrase }).toBuffer("pkcs8"), format: "pem" }),
    );
  }
  reader.text();
  reader.string();
  if (reader.uint32() !== 1) throw malformed();
  const publicKey = parsePublicKey(reader.string());
  const secret = new WireReader(reader.string(), "private key");
  reader.end();
  const [check, again] = [secret.uint32(), secret.uint32()];
  if (check !== again) throw malformed();
  if (secret.text() !== publicKey.type) throw malformed();
  secret.string();
  if (publicKey.type !== "ssh-ed25519") secret.string();
  return readSecretPart(publicKey, secret);
}

function keyOf(jwk: JsonWebKey): SshPrivateKey {
  try {
    return new SshPrivateKey(createPrivateKey({ key: jwk, format: "jwk" }));
  } catch (cause) {
    throw new MezError("SSH_MALFORMED", "the numbers of the private key make no key", { cause });
  }
}

function secretJwk({ type, keyObject }: SshPublicKey, reader: WireReader): JsonWebKey {
  const jwk = keyObject.export({ format: "jwk" });
  const number = () => base64urlNumber(reader.string());
  if (type === "ssh-ed25519") return { ...jwk, d: reader.string().subarray(0, 32).toString("base64url") };
  if (type === "ssh-rsa") {
    const [d, qi, p, q] = [number(), number(), number(), number()];
    const value = (field: string) => BigInt(`0x${Buffer.from(field, "base64url").toString("hex")}`);
    const remainder = (prime: string) =>
      base64urlNumber(Buffer.from((value(d) % (value(prime) - 1n)).toString(16).padStart(prime.length * 2, "0"), "hex"));
    return { ...jwk, d, p, q, qi, dp: remainder(p), dq: remainder(q) };
  }
  return { ...jwk, d: reader.mpint(ECDSA_CURVES[type].bytes).toString("base64url") };
}

function privateFields(key: SshPrivateKey): Buffer {
  const jwk = key.keyObject.export({ format: "jwk" });
  const bytes = (field: string | undefined) => Buffer.from(field ?? "", "base64url");
  const publicFields = key.publicKeyBlob.subarray(string(key.type).length);
  if (key.type === "ssh-ed25519")
    return Buffer.concat([string(key.type), publicFields, string(Buffer.concat([bytes(jwk.d), bytes(jwk.x)]))]);
  if (key.type !== "ssh-rsa") return Buffer.concat([string(key.type), publicFields, mpint(bytes(jwk.d))]);
  return Buffer.concat([string(key.type), ...[jwk.n, jwk.e, jwk.d, jwk.qi, jwk.p, jwk.q].map((field) => mpint(bytes(field)))]);
}

function base64urlNumber(bytes: Buffer): string {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  return bytes.subarray(start).toString("base64url");
}

function malformed(): MezError {
  return new MezError("SSH_MALFORMED", "the OpenSSH private key is damaged");
}
