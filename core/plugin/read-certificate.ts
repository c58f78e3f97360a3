import { X509Certificate } from "node:crypto";

/** Certificates that were read on the way in, by their DER; until somebody asks, or their connection is gone. */
const alreadyRead = new WeakMap<Buffer, X509Certificate>();

/** Keeps a certificate for the first who reads these very bytes, the DER of it. */
export function keepRead(der: Buffer, certificate: X509Certificate): void {
  alreadyRead.set(der, certificate);
}

/** Reads a certificate from its DER. @throws {Error} when it is none */
export function readCertificate(der: Buffer): X509Certificate {
  const known = alreadyRead.get(der);
  // OpenSSL's form of it is large, and there are ten thousand connections: whoever asks again keeps what was read.
  alreadyRead.delete(der);
  return known ?? new X509Certificate(der);
}
