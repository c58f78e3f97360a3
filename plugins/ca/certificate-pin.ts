import { createHash, X509Certificate } from "node:crypto";

/**
 * Names a CA certificate by its key: `sha256:` and the lower-case hexadecimal SHA-256 of the SubjectPublicKeyInfo. It
 * stays the same when the certificate is renewed under the same key.
 * @param certificate PEM, or DER.
 * @see RFC 7469, 2.4
 */
export function certificatePin(certificate: string | Buffer): string {
  return publicKeyPin(new X509Certificate(certificate).publicKey.export({ format: "der", type: "spki" }));
}

/** The same for a SubjectPublicKeyInfo, DER. */
export function publicKeyPin(publicKeyDer: Buffer): string {
  return `sha256:${createHash("sha256").update(publicKeyDer).digest("hex")}`;
}
