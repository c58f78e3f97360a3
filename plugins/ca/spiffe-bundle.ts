import { createHash, createPublicKey, X509Certificate } from "node:crypto";
import { MezError } from "../../core/errors/error.js";
import type { JwtAuthority, SpiffeBundle } from "./api.js";

/** How often others should look at the bundle. A rotation should stay in a phase for longer. */
export const REFRESH_HINT_SECONDS = 300;

/**
 * Makes the bundle of a trust domain.
 * @param certificatesPem Of the SPIFFE CA; their URI names the trust domain.
 * @param sequence Rises with every change.
 * @see SPIFFE Trust Domain and Bundle, 4
 */
export function spiffeBundleOf(
  certificatesPem: readonly string[],
  jwtAuthorities: readonly JwtAuthority[],
  sequence: number,
): SpiffeBundle {
  const certificates = certificatesPem.map((pem) => new X509Certificate(pem));
  const x509Keys = certificates.map(({ publicKey, raw }) => ({
    use: "x509-svid",
    ...(publicKey.export({ format: "jwk" }) as EcJwk),
    x5c: [raw.toString("base64")],
  }));
  const jwtKeys = jwtAuthorities.map(({ keyId, publicKey }) => ({ kid: keyId, ...jwkOf(publicKey) }));
  return {
    trustDomain: trustDomainOf(certificates[0]),
    sequence,
    refreshHintSeconds: REFRESH_HINT_SECONDS,
    jwtAuthorities,
    bundleJson: JSON.stringify({
      keys: [...x509Keys, ...jwtKeys.map((key) => ({ use: "jwt-svid", ...key }))],
      spiffe_sequence: sequence,
      spiffe_refresh_hint: REFRESH_HINT_SECONDS,
    }),
    jwksJson: JSON.stringify({ keys: jwtKeys.map((key) => ({ use: "sig", alg: "ES256", ...key })) }),
  };
}

/** Names a P-256 key. @param publicKey SubjectPublicKeyInfo, DER in base64. @see RFC 7638, 3 */
export function jwkThumbprint(publicKey: string): string {
  const { crv, kty, x, y } = jwkOf(publicKey);
  return createHash("sha256").update(JSON.stringify({ crv, kty, x, y })).digest("base64url");
}

// --- internal ---

interface EcJwk {
  readonly kty: string;
  readonly crv: string;
  readonly x: string;
  readonly y: string;
}

function jwkOf(publicKey: string): EcJwk {
  const key = createPublicKey({ key: Buffer.from(publicKey, "base64"), format: "der", type: "spki" });
  return key.export({ format: "jwk" }) as EcJwk;
}

function trustDomainOf(certificate: X509Certificate | undefined): string {
  const [, trustDomain] = /^URI:spiffe:\/\/([a-z0-9._-]+)$/.exec(certificate?.subjectAltName ?? "") ?? [];
  if (trustDomain === undefined)
    throw new MezError(
      "KEY_CORRUPT",
      "the certificate of the SPIFFE CA names no trust domain; restore the database from a backup",
    );
  return trustDomain;
}
