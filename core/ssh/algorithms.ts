import { CERTIFICATE_SUFFIX } from "./certificate.js";
import type { SignatureAlgorithm } from "./signature.js";
import { requireSsh2 } from "./ssh2-internals.js";

/** The post-quantum hybrid: ML-KEM-768 with X25519. OpenSSH 10.1 and later warn about connections without one. */
export const MLKEM768_X25519 = "mlkem768x25519-sha256";

/** ssh2's name under which the hybrid is negotiated inside the process; an exact duplicate of `curve25519-sha256`. */
export const MLKEM_ALIAS = "curve25519-sha256@libssh.org";

/** What we offer, the preferred ones first. No SHA-1, no DSA, no CBC, no group exchange, no compression. */
export const OFFER = {
  kex: [
    MLKEM768_X25519,
    "curve25519-sha256",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group16-sha512",
  ],
  cipher: [
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
  ],
  hmac: ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"],
  compress: ["none"],
};

/** Signature algorithms that a server accepts from users. @see RFC 8308, 3.1 "server-sig-algs" */
export const SIGNATURE_ALGORITHMS: readonly SignatureAlgorithm[] = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "rsa-sha2-512",
  "rsa-sha2-256",
];

/** Certificate algorithm on the wire -> how the certificate's type is written inside, and the plain algorithm that signs. */
export const CERTIFICATE_ALGORITHMS: ReadonlyMap<
  string,
  { readonly certificateType: string; readonly signature: SignatureAlgorithm }
> = new Map(
  SIGNATURE_ALGORITHMS.map((signature) => [
    signature + CERTIFICATE_SUFFIX,
    { signature, certificateType: (signature.startsWith("rsa-") ? "ssh-rsa" : signature) + CERTIFICATE_SUFFIX },
  ]),
);

/** Edits ssh2's lists in place; its client and server share them. Must run before ssh2 builds its default offers. */
export function installAlgorithms(): void {
  const constants = requireSsh2<Record<string, string[]>>("lib/protocol/constants.js");
  for (const name of ["DEFAULT_KEX", "SUPPORTED_KEX"]) replace(constants[name], OFFER.kex);
  for (const name of ["DEFAULT_CIPHER", "SUPPORTED_CIPHER"]) replace(constants[name], OFFER.cipher);
  for (const name of ["DEFAULT_MAC", "SUPPORTED_MAC"]) replace(constants[name], OFFER.hmac);
  for (const name of ["DEFAULT_COMPRESSION", "SUPPORTED_COMPRESSION"]) replace(constants[name], OFFER.compress);
  replace(constants.DEFAULT_SERVER_HOST_KEY, SIGNATURE_ALGORITHMS);
  replace(constants.SUPPORTED_SERVER_HOST_KEY, [...CERTIFICATE_ALGORITHMS.keys(), ...SIGNATURE_ALGORITHMS]);
}

// --- internal ---

function replace(list: string[] | undefined, names: readonly string[]): void {
  list?.splice(0, list.length, ...names);
}
