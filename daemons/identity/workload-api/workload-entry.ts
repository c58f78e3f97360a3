import { createHash, X509Certificate } from "node:crypto";
import { MezError } from "../../../core/errors/error.js";
import type { WorkloadSnapshot } from "../../../proto/gen/mezite/workload_identities/v1/workload_identities.js";
import type { UnixSelectors } from "./selectors.js";

/** A workload identity as it is on this host. */
export interface WorkloadEntry {
  readonly name: string;
  /** What was issued under another one must not be handed out any more. */
  readonly revision: string;
  readonly spiffeId: string;
  readonly selectors: UnixSelectors;
  readonly hint: string;
}

/** The keys of the SPIFFE CA that are trusted now. */
export interface TrustBundle {
  /** Rises with every change. */
  readonly sequence: number;
  /** Self-signed, DER; the one that signs first. */
  readonly x509Authorities: readonly Buffer[];
  /** Key ids, the one that signs first. */
  readonly jwtKeyIds: readonly string[];
  /** JWK set, JSON. */
  readonly jwksJson: string;
}

/** Everything that this daemon may serve. */
export interface WorkloadDirectory {
  /** SPIFFE ID of the trust domain, e.g. `spiffe://prod.example.com`. */
  readonly trustDomainId: string;
  readonly entries: readonly WorkloadEntry[];
  readonly bundle: TrustBundle;
}

/** @throws {MezError} `INTERNAL` for a snapshot that lacks something */
export function readSnapshot({ trustDomain, entries, bundle }: WorkloadSnapshot): WorkloadDirectory {
  if (trustDomain === "" || bundle === undefined || bundle.x509Authorities.length === 0)
    throw new MezError("INTERNAL", "the auth service sent workload identities without a trust bundle");
  return {
    trustDomainId: `spiffe://${trustDomain}`,
    entries: entries.map(({ name, revision, spiffeId, hint, unix }) => ({
      ...{ name, revision, spiffeId, hint },
      selectors: unix ?? NO_SELECTORS,
    })),
    bundle: {
      sequence: bundle.sequence,
      x509Authorities: bundle.x509Authorities,
      jwtKeyIds: bundle.jwtAuthorities.map(({ keyId }) => keyId),
      jwksJson: bundle.jwksJson,
    },
  };
}

/** Tells which authority of the bundle signed a certificate: its place, 0 for the one that signs now, -1 for none. */
export function authorityOf(certificate: X509Certificate, { x509Authorities }: TrustBundle): number {
  return x509Authorities.findIndex((der) => {
    const authority = new X509Certificate(der);
    return certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
  });
}

/** SHA-256 of each authority, in their order. */
export function authorityDigests({ x509Authorities }: TrustBundle): Buffer[] {
  return x509Authorities.map((der) => createHash("sha256").update(der).digest());
}

// --- internal ---

const NO_SELECTORS: UnixSelectors = { uids: [], gids: [], paths: [], sha256: [] };
