import { hash } from "node:crypto";

/**
 * How what a client trusts compares with the Host CA keys that count: `outdated` when it is another set, `unusable` when the key
 * that certifies SSH hosts now is not in it.
 */
export type TrustState = "current" | "outdated" | "unusable";

/** The Host CA keys that count. The key that signs now comes first. */
export interface HostAuthorities {
  /** Wire form, base64. */
  readonly sshPublicKeys: readonly string[];
  readonly certificatesPem: readonly string[];
}

/** Length of a `digestTrust` at most. */
export const MAX_TRUST_BYTES = 16 * 32;

/**
 * Names a set of keys: the SHA-256 of the wire form of each SSH key and of the DER of each certificate, without doubles, in
 * ascending order.
 */
export function digestTrust({ sshPublicKeys, certificatesPem }: HostAuthorities): Buffer {
  const digests = [...sshPublicKeys.map(digestOf), ...certificatesPem.map((pem) => digestOf(pem.replace(ARMOUR, "")))];
  return Buffer.from([...new Set(digests)].sort().join(""), "hex").subarray(0, MAX_TRUST_BYTES);
}

/** The same of files as a login keeps them; see `hostTrustOf`. What else is in them does not count. */
export function digestTrustFiles(knownHosts: string, hostCaPem: string): Buffer {
  const sshPublicKeys = [...knownHosts.matchAll(/^@cert-authority \S+ \S+ (\S+)/gm)].map(([, key = ""]) => key);
  return digestTrust({ sshPublicKeys, certificatesPem: hostCaPem.match(CERTIFICATE) ?? [] });
}

/** @param held From `digestTrust`. */
export function judgeTrust(held: Buffer, authorities: HostAuthorities): TrustState {
  if (held.equals(digestTrust(authorities))) return "current";
  const [signing] = authorities.sshPublicKeys;
  return signing === undefined || held.toString("hex").match(DIGEST)?.includes(digestOf(signing)) === true
    ? "outdated"
    : "unusable";
}

// --- internal ---

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
const ARMOUR = /-----[A-Z ]+-----/g;
const DIGEST = /.{64}/g;

function digestOf(base64: string): string {
  return hash("sha256", Buffer.from(base64, "base64"), "hex");
}
