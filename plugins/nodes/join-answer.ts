import type { HostCertificates } from "./host-certificates.js";

/** Writes the certificates of a join for the case that they have to be given again. */
export function writeJoinAnswer(certificates: HostCertificates): string {
  return JSON.stringify({
    ...certificates,
    sshCertificate: certificates.sshCertificate.toString("base64"),
    expiresAt: certificates.expiresAt.toISOString(),
  });
}

/** Reads what `writeJoinAnswer` wrote. */
export function readJoinAnswer(text: string): HostCertificates {
  const stored = JSON.parse(text) as Omit<HostCertificates, "sshCertificate" | "expiresAt"> & {
    sshCertificate: string;
    expiresAt: string;
  };
  return { ...stored, sshCertificate: Buffer.from(stored.sshCertificate, "base64"), expiresAt: new Date(stored.expiresAt) };
}
