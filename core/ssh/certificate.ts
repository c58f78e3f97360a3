import { MezError } from "../errors/error.js";
import { isSshKeyType, type SshKeyType } from "./public-key.js";
import { string, WireReader } from "./wire.js";

export const CERTIFICATE_SUFFIX = "-cert-v01@openssh.com";

export type CertificateRole = "user" | "host";

/** An OpenSSH certificate as it was read. Reading it proves nothing: `checkCertificate` does. */
export interface SshCertificate {
  readonly blob: Buffer;
  /** Type of the key that is certified, e.g. `ssh-ed25519`. */
  readonly keyType: SshKeyType;
  /** The certified key, as a plain public key. */
  readonly subjectBlob: Buffer;
  readonly serial: bigint;
  readonly role: CertificateRole;
  readonly keyId: string;
  /** Login names for a user, host names for a host. Empty means "any" to OpenSSH and is refused by `checkCertificate`. */
  readonly principals: readonly string[];
  /** Unix time in seconds. */
  readonly validAfterSeconds: bigint;
  /** Unix time in seconds; 2^64 - 1 means for ever. The certificate is not valid at this second. */
  readonly validBeforeSeconds: bigint;
  readonly criticalOptions: ReadonlyMap<string, string>;
  readonly extensions: ReadonlyMap<string, string>;
  /** The plain public key of the CA that signed it. */
  readonly authorityBlob: Buffer;
  /** The bytes that the CA signed. */
  readonly signedBytes: Buffer;
  readonly signature: Buffer;
}

/**
 * Reads a certificate. Trailing bytes, options out of order or given twice, and a CA that is itself a certificate are
 * refused here; everything that depends on time, place or trust in `checkCertificate`.
 * @throws {MezError} `SSH_MALFORMED`, `SSH_KEY_UNSUPPORTED`
 * @see OpenSSH PROTOCOL.certkeys
 */
export function parseCertificate(bytes: Buffer): SshCertificate {
  const blob = Buffer.from(bytes);
  const reader = new WireReader(blob, "certificate");
  const keyType = certifiedKeyType(reader.text());
  reader.string(); // the nonce
  const keyStart = reader.position;
  for (let part = 0; part < (keyType === "ssh-ed25519" ? 1 : 2); part++) reader.string();
  const subjectBlob = Buffer.concat([string(keyType), blob.subarray(keyStart, reader.position)]);
  const serial = reader.uint64();
  const role = readRole(reader.uint32());
  const keyId = reader.text();
  const principals = readPrincipals(reader.string());
  const validAfterSeconds = reader.uint64();
  const validBeforeSeconds = reader.uint64();
  const criticalOptions = readOptions(reader.string());
  const extensions = readOptions(reader.string());
  reader.string(); // reserved
  const authorityBlob = reader.string();
  const signedBytes = blob.subarray(0, reader.position);
  const signature = reader.string();
  reader.end();
  if (isCertificateType(new WireReader(authorityBlob, "CA key").text())) {
    throw new MezError("SSH_MALFORMED", "the certificate was signed by a certificate; only plain keys can be a CA");
  }
  return Object.freeze({
    blob,
    keyType,
    subjectBlob,
    serial,
    role,
    keyId,
    principals,
    validAfterSeconds,
    validBeforeSeconds,
    criticalOptions,
    extensions,
    authorityBlob,
    signedBytes,
    signature,
  });
}

/** Tells whether a key or algorithm name is that of a certificate. */
export function isCertificateType(name: string): boolean {
  return name.endsWith(CERTIFICATE_SUFFIX);
}

/** Writes the line that stands in an `id_ed25519-cert.pub` file: `ssh-ed25519-cert-v01@openssh.com AAAA… comment`. */
export function formatCertificate(blob: Buffer, comment = ""): string {
  const type = new WireReader(blob, "certificate").text();
  return `${type} ${blob.toString("base64")}${comment === "" ? "" : ` ${comment}`}`;
}

/**
 * Reads such a line.
 * @throws {MezError} `SSH_MALFORMED`, `SSH_KEY_UNSUPPORTED`
 */
export function parseCertificateLine(line: string): SshCertificate {
  const [type = "", base64 = ""] = line.trim().split(/\s+/);
  const certificate = parseCertificate(Buffer.from(base64, "base64"));
  if (type !== certificate.keyType + CERTIFICATE_SUFFIX)
    throw new MezError("SSH_MALFORMED", "the certificate line names another type than the certificate");
  return certificate;
}

// --- internal ---

function certifiedKeyType(type: string): SshKeyType {
  const keyType = type.slice(0, -CERTIFICATE_SUFFIX.length);
  if (!isCertificateType(type)) throw new MezError("SSH_MALFORMED", `"${type.slice(0, 60)}" is not a certificate type`);
  if (!isSshKeyType(keyType))
    throw new MezError("SSH_KEY_UNSUPPORTED", `certificate type "${type.slice(0, 60)}" is not supported`);
  return keyType;
}

function readRole(value: number): CertificateRole {
  if (value === 1) return "user";
  if (value === 2) return "host";
  throw new MezError("SSH_MALFORMED", `certificate kind ${value} is unknown; it is 1 for a user or 2 for a host`);
}

function readPrincipals(bytes: Buffer): readonly string[] {
  const reader = new WireReader(bytes, "list of principals");
  const principals: string[] = [];
  while (!reader.isAtEnd) principals.push(reader.text());
  return principals;
}

function readOptions(bytes: Buffer): ReadonlyMap<string, string> {
  const reader = new WireReader(bytes, "list of certificate options");
  const options = new Map<string, string>();
  let previous: Buffer | null = null;
  while (!reader.isAtEnd) {
    const name = reader.string();
    if (previous !== null && Buffer.compare(previous, name) >= 0)
      throw new MezError("SSH_MALFORMED", "the certificate options are not in lexical order");
    previous = name;
    options.set(name.toString("utf8"), readOptionValue(reader.string()));
  }
  return options;
}

function readOptionValue(bytes: Buffer): string {
  if (bytes.length === 0) return "";
  const reader = new WireReader(bytes, "certificate option");
  const value = reader.text();
  reader.end();
  return value;
}
