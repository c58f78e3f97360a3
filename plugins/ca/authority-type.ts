import type { AuthorityType } from "./api.js";
import type { KeyUsage } from "./authority-repository.js";

/** What tells one authority from another. */
export interface AuthorityTraits {
  /** The kind of certificate that it signs; decides in which phase of a rotation its new key takes over. */
  readonly certifies: "clients" | "hosts";
  /** The keys that are made together; each has a certificate key among them. */
  readonly keys: readonly KeyUsage[];
}

/** Every authority that a cluster has. */
export const AUTHORITIES: Readonly<Record<AuthorityType, AuthorityTraits>> = {
  user: { certifies: "clients", keys: ["ssh", "x509"] },
  host: { certifies: "hosts", keys: ["ssh", "x509"] },
  spiffe: { certifies: "clients", keys: ["x509", "jwt"] },
};

/** Their types, in the order in which they are made. */
export const AUTHORITY_TYPES = Object.keys(AUTHORITIES) as readonly AuthorityType[];

/** The common name of an authority's certificate, also the comment of its SSH key: `prod user CA`. */
export function authorityName(clusterName: string, type: AuthorityType): string {
  return `${clusterName} ${type} CA`;
}
