import { createHash, createPublicKey, type KeyObject, verify } from "node:crypto";
import { MezError } from "../../core/errors/error.js";
import {
  bitString,
  boolean,
  contentsOf,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  set,
  tagged,
  time,
  utf8String,
} from "./der.js";

/** An ECDSA P-256 CA key that may live outside this process. */
export interface X509Signer {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKeyDer: Buffer;
  /** True when `sign` cannot be wrong without this process being so; see `KeyBackend.signsInProcess`. */
  readonly signsInProcess: boolean;
  /** @returns r || s, 64 bytes, over SHA-256. */
  sign(data: Buffer): Promise<Buffer>;
}

/** What goes into a certificate. Extensions are made with the functions of `x509-extensions.ts`. */
export interface X509Contents {
  /** Unsigned, big endian, at most 20 bytes. */
  readonly serial: Buffer;
  /** DER, from `distinguishedName`. */
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly subjectPublicKeyDer: Buffer;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly extensions: readonly Buffer[];
}

/**
 * Signs a version 3 certificate with ecdsa-with-SHA256. A signature from outside of this process is verified before it is believed.
 * @returns DER
 * @throws {MezError} `KEY_BACKEND_UNAVAILABLE`; whatever the signer throws
 * @see RFC 5280, 4.1
 */
export async function signX509(contents: X509Contents, signer: X509Signer): Promise<Buffer> {
  const unsigned = sequence(
    tagged(0xa0, integer(Buffer.of(2))),
    integer(contents.serial),
    ECDSA_WITH_SHA256,
    contents.issuer,
    sequence(time(contents.notBefore), time(contents.notAfter)),
    contents.subject,
    contents.subjectPublicKeyDer,
    tagged(0xa3, sequence(...contents.extensions)),
  );
  const raw = await signer.sign(unsigned);
  requireTrueSignature(unsigned, raw, signer);
  const signature = sequence(integer(raw.subarray(0, 32)), integer(raw.subarray(32)));
  return sequence(unsigned, ECDSA_WITH_SHA256, bitString(signature));
}

/**
 * Checks what a key backend answered, unless it is this process.
 * @throws {MezError} `KEY_BACKEND_UNAVAILABLE`
 */
export function requireTrueSignature(data: Buffer, raw: Buffer, signer: X509Signer): void {
  const isTrue =
    raw.length === 64 &&
    (signer.signsInProcess || verify("sha256", data, { key: keyObjectOf(signer), dsaEncoding: "ieee-p1363" }, raw));
  if (!isTrue) throw new MezError("KEY_BACKEND_UNAVAILABLE", "the key backend returned a wrong signature; try again");
}

/** A Name of an organization, when given, and a common name, both UTF-8. */
export function distinguishedName(commonName: string, organization?: string): Buffer {
  const parts = [set(sequence(COMMON_NAME, utf8String(commonName)))];
  if (organization !== undefined) parts.unshift(set(sequence(ORGANIZATION, utf8String(organization))));
  return sequence(...parts);
}

/** A Name of an organization alone: what a SPIFFE leaf has, where the name that counts is its URI. */
export function organizationName(organization: string): Buffer {
  return sequence(set(sequence(ORGANIZATION, utf8String(organization))));
}

/** The first 160 bits of the SHA-256 of the key's bits. @see RFC 7093, 2, method 1 */
export function keyIdentifier(publicKeyDer: Buffer): Buffer {
  const [algorithmAndKey = Buffer.alloc(0)] = contentsOf(publicKeyDer);
  const bits = contentsOf(algorithmAndKey)[1] ?? Buffer.alloc(0);
  return createHash("sha256").update(bits.subarray(1)).digest().subarray(0, 20);
}

/** PEM of a DER certificate. */
export function certificatePem(der: Buffer): string {
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}

/** One extension. @param value DER of the extension's own type. */
export function extension(oid: string, value: Buffer, critical = false): Buffer {
  return critical
    ? sequence(objectIdentifier(oid), boolean(true), octetString(value))
    : sequence(objectIdentifier(oid), octetString(value));
}

// --- internal ---

const ECDSA_WITH_SHA256 = sequence(objectIdentifier("1.2.840.10045.4.3.2")); // RFC 5758, 3.2
const COMMON_NAME = objectIdentifier("2.5.4.3");
const ORGANIZATION = objectIdentifier("2.5.4.10");

const keyObjects = new WeakMap<X509Signer, KeyObject>();

function keyObjectOf(signer: X509Signer): KeyObject {
  const known = keyObjects.get(signer);
  if (known !== undefined) return known;
  const keyObject = createPublicKey({ key: signer.publicKeyDer, format: "der", type: "spki" });
  keyObjects.set(signer, keyObject);
  return keyObject;
}
