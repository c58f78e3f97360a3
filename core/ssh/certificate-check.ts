import { timingSafeEqual } from "node:crypto";
import { MezError } from "../errors/error.js";
import type { CertificateRole, SshCertificate } from "./certificate.js";
import { parsePublicKey } from "./public-key.js";
import { verifySignature } from "./signature.js";
import { matchesSourceAddress } from "./source-address.js";

/** What a certificate is measured against. */
export interface CertificateExpectation {
  readonly role: CertificateRole;
  /** Wire forms of the CA keys that are trusted for this role. */
  readonly authorities: readonly Buffer[];
  readonly now: Date;
  /** Login or host name that must be among the principals. Left out only where the caller checks principals itself. */
  readonly principal?: string;
  /** Address that the user comes from; a certificate with `source-address` is refused without it. */
  readonly sourceAddress?: string;
}

/** Which rule refused the certificate: `fields.rule` of the error. */
export type CertificateRule =
  | "role"
  | "authority"
  | "signature"
  | "key"
  | "validity"
  | "principal"
  | "critical-option"
  | "source-address";

/**
 * Checks everything that makes a certificate good: role, CA, signature (no SHA-1), size of the certified key, validity,
 * principals, and critical options, of which only `source-address` and `force-command` are known. The caller must
 * still enforce `force-command` and the extensions, and must have a signature by the certified key before it
 * believes who is speaking.
 * @throws {MezError} `SSH_CERTIFICATE_REFUSED` with `fields.rule`; its message may be shown to the user
 * @see OpenSSH PROTOCOL.certkeys
 */
export function checkCertificate(certificate: SshCertificate, expected: CertificateExpectation): void {
  if (certificate.role !== expected.role)
    throw refused("role", `this is a ${certificate.role} certificate, not a ${expected.role} certificate`);
  if (!expected.authorities.some((authority) => sameKey(authority, certificate.authorityBlob)))
    throw refused("authority", "the certificate was not issued by this cluster");
  checkSignature(certificate);
  checkValidity(certificate, expected.now);
  if (certificate.principals.length === 0) throw refused("principal", "the certificate names no principals");
  if (expected.principal !== undefined && !certificate.principals.includes(expected.principal)) {
    throw refused("principal", `"${printable(expected.principal)}" is not among the principals of the certificate`);
  }
  for (const [name, value] of certificate.criticalOptions) checkCriticalOption(name, value, expected);
}

// --- internal ---

/** Certificates whose signature was found good. The bytes of a parsed certificate never change, so it stays good. */
const verified = new WeakSet<SshCertificate>();

function checkSignature(certificate: SshCertificate): void {
  if (verified.has(certificate)) return;
  try {
    verifySignature(certificate.authorityBlob, certificate.signedBytes, certificate.signature);
  } catch (cause) {
    throw refused("signature", "the signature of the certificate is not valid", cause);
  }
  try {
    parsePublicKey(certificate.subjectBlob);
  } catch (cause) {
    throw refused("key", "the certified key is not acceptable", cause);
  }
  verified.add(certificate);
}

function checkValidity(certificate: SshCertificate, now: Date): void {
  const seconds = BigInt(Math.floor(now.getTime() / 1000));
  if (seconds < certificate.validAfterSeconds) throw refused("validity", "the certificate is not valid yet; check the clocks");
  if (seconds >= certificate.validBeforeSeconds) throw refused("validity", "the certificate has expired; log in again");
}

function checkCriticalOption(name: string, value: string, expected: CertificateExpectation): void {
  if (expected.role === "user" && name === "force-command") return;
  if (expected.role !== "user" || name !== "source-address")
    throw refused("critical-option", `the certificate has the unknown critical option "${printable(name)}"`);
  let isCovered = false;
  try {
    isCovered = expected.sourceAddress !== undefined && matchesSourceAddress(value, expected.sourceAddress);
  } catch (cause) {
    throw refused("source-address", "the source-address option of the certificate is not valid", cause);
  }
  if (!isCovered)
    throw refused("source-address", `the certificate may not be used from ${expected.sourceAddress ?? "an unknown address"}`);
}

function sameKey(one: Buffer, other: Buffer): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}

function printable(text: string): string {
  return text.slice(0, 60).replace(/[^\x20-\x7e]/g, "?");
}

function refused(rule: CertificateRule, message: string, cause?: unknown): MezError {
  return new MezError("SSH_CERTIFICATE_REFUSED", message, { cause, fields: { rule } });
}
