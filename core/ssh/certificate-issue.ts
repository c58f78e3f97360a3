import { randomBytes } from "node:crypto";
import { MezError } from "../errors/error.js";
import { CERTIFICATE_SUFFIX, type CertificateRole } from "./certificate.js";
import type { SshPrivateKey } from "./private-key.js";
import { parsePublicKey } from "./public-key.js";
import { createSignature, verifySignature } from "./signature.js";
import { parseSourceAddresses } from "./source-address.js";
import { string, uint32, uint64 } from "./wire.js";

/** What goes into a certificate. */
export interface CertificateRequest {
  readonly role: CertificateRole;
  /** The key to certify, as a plain public key. */
  readonly subjectBlob: Buffer;
  /** 0 to 2^64 - 1. */
  readonly serial: bigint;
  /** Shown in logs of every `sshd`, e.g. the user's name. */
  readonly keyId: string;
  /** Login or host names, 1 to 256; OpenSSH reads an empty list as "any", so it is refused. */
  readonly principals: readonly string[];
  readonly validAfter: Date;
  /** Exclusive. Whole seconds; fractions are cut off. */
  readonly validBefore: Date;
  /** `force-command` and `source-address`; users only. */
  readonly criticalOptions?: Readonly<Record<string, string>>;
  /** E.g. `{ "permit-pty": "" }`; users only. */
  readonly extensions?: Readonly<Record<string, string>>;
}

/** A CA key that may live outside this process. */
export interface SshSigner {
  readonly publicKeyBlob: Buffer;
  /** True when the signature is made by node:crypto in this process: then it is not verified again. */
  readonly signsInProcess?: boolean;
  /** @returns An SSH signature (`string algorithm, string signature`); see `encodeSignature`. */
  sign(data: Buffer): Promise<Buffer>;
}

/**
 * Issues an OpenSSH certificate with a CA key in this process (9,000 a second with Ed25519).
 * @returns The certificate's wire form; `formatCertificate` makes the line for a file.
 * @throws {MezError} `INVALID_ARGUMENT` for a request that no server could honour; `SSH_KEY_UNSUPPORTED`, `SSH_MALFORMED` for the subject key
 * @see OpenSSH PROTOCOL.certkeys
 */
export function issueCertificate(request: CertificateRequest, authority: SshPrivateKey): Buffer {
  const unsigned = encodeUnsigned(request, authority.publicKeyBlob);
  return Buffer.concat([unsigned, string(createSignature(authority, unsigned))]);
}

/**
 * The same with a CA key behind a signer. What comes from outside of this process, e.g. an HSM, is verified before it is believed.
 * @throws {MezError} as `issueCertificate`; `SSH_SIGNATURE_INVALID`; whatever the signer throws
 */
export async function issueCertificateWith(request: CertificateRequest, authority: SshSigner): Promise<Buffer> {
  const unsigned = encodeUnsigned(request, authority.publicKeyBlob);
  const signature = await authority.sign(unsigned);
  if (authority.signsInProcess !== true) verifySignature(authority.publicKeyBlob, unsigned, signature);
  return Buffer.concat([unsigned, string(signature)]);
}

/** A signer for a key that this process holds. */
export function localSigner(key: SshPrivateKey): SshSigner {
  return { publicKeyBlob: key.publicKeyBlob, signsInProcess: true, sign: async (data) => createSignature(key, data) };
}

// --- internal ---

const MAX_PRINCIPALS = 256; // OpenSSH sshkey.h, SSHKEY_CERT_MAX_PRINCIPALS
const MAX_UINT64 = 2n ** 64n - 1n;

function encodeUnsigned(request: CertificateRequest, authorityBlob: Buffer): Buffer {
  const subject = parsePublicKey(request.subjectBlob);
  parsePublicKey(authorityBlob);
  checkRequest(request);
  return Buffer.concat([
    string(subject.type + CERTIFICATE_SUFFIX),
    string(randomBytes(32)),
    subject.blob.subarray(string(subject.type).length),
    uint64(request.serial),
    uint32(request.role === "user" ? 1 : 2),
    string(request.keyId),
    string(Buffer.concat(request.principals.map(string))),
    uint64(unixSeconds(request.validAfter)),
    uint64(unixSeconds(request.validBefore)),
    string(encodeOptions(request.criticalOptions)),
    string(encodeOptions(request.extensions)),
    string(""),
    string(authorityBlob),
  ]);
}

function checkRequest(request: CertificateRequest): void {
  const { principals, serial, role, criticalOptions = {}, extensions = {} } = request;
  if (principals.length < 1 || principals.length > MAX_PRINCIPALS)
    throw invalid(`a certificate needs 1 to ${MAX_PRINCIPALS} principals, not ${principals.length}`);
  for (const text of [request.keyId, ...principals]) {
    if (text === "" || /[\x00-\x1f\x7f]/.test(text))
      throw invalid(`"${text.slice(0, 60)}" cannot stand in a certificate; it is empty or holds control characters`);
  }
  if (serial < 0n || serial > MAX_UINT64) throw invalid(`serial ${serial} does not fit into 64 bits`);
  if (!(unixSeconds(request.validAfter) < unixSeconds(request.validBefore)))
    throw invalid("the certificate would end before it begins");
  if (role === "host" && Object.keys(criticalOptions).length + Object.keys(extensions).length > 0)
    throw invalid("a host certificate has no options");
  for (const [name, value] of Object.entries(criticalOptions)) {
    if (name !== "force-command" && name !== "source-address")
      throw invalid(`critical option "${name}" is unknown; use force-command or source-address`);
    if (name === "source-address") parseSourceAddresses(value);
  }
}

function unixSeconds(time: Date): bigint {
  const milliseconds = time.getTime();
  if (!(milliseconds >= 0)) throw invalid("the validity of a certificate must lie after 1970");
  return BigInt(Math.floor(milliseconds / 1000));
}

function encodeOptions(options: Readonly<Record<string, string>> = {}): Buffer {
  const named = Object.entries(options).map(([name, value]) => ({ name: Buffer.from(name, "utf8"), value }));
  named.sort((one, other) => Buffer.compare(one.name, other.name));
  return Buffer.concat(named.flatMap(({ name, value }) => [string(name), value === "" ? string("") : string(string(value))]));
}

function invalid(message: string): MezError {
  return new MezError("INVALID_ARGUMENT", message);
}
