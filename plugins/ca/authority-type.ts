import type { AuthorityType } from "./api.js";

/** Every authority that a cluster has. */
export const AUTHORITY_TYPES: readonly AuthorityType[] = ["user", "host"];

/** The common name of an authority's certificate, also the comment of its SSH key: `prod user CA`. */
export function authorityName(clusterName: string, type: AuthorityType): string {
  return `${clusterName} ${type} CA`;
}
