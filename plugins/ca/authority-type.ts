import type { AuthorityType } from "./api.js";

/** What tells one authority from another. */
export interface AuthorityTraits {
  /** The kind of certificate that it signs; decides in which phase of a rotation its new key takes over. */
  readonly certifies: "clients" | "hosts";
}

/** Every authority that a cluster has. */
export const AUTHORITIES: Readonly<Record<AuthorityType, AuthorityTraits>> = {
  user: { certifies: "clients" },
  host: { certifies: "hosts" },
};

/** Their types, in the order in which they are made. */
export const AUTHORITY_TYPES = Object.keys(AUTHORITIES) as readonly AuthorityType[];

/** The common name of an authority's certificate, also the comment of its SSH key: `prod user CA`. */
export function authorityName(clusterName: string, type: AuthorityType): string {
  return `${clusterName} ${type} CA`;
}
