import { AuthorityType as WireType } from "../../proto/gen/mezite/ca/v1/ca.js";
import type { AuthorityType } from "./api.js";

/** Authority types as they are sent. */
export const WIRE_TYPES: Readonly<Record<AuthorityType, WireType>> = {
  user: WireType.AUTHORITY_TYPE_USER,
  host: WireType.AUTHORITY_TYPE_HOST,
  spiffe: WireType.AUTHORITY_TYPE_SPIFFE,
};

/** Reads an authority type; `null` for one that this release does not know. */
export function authorityTypeOf(wireType: WireType): AuthorityType | null {
  for (const [type, wire] of Object.entries(WIRE_TYPES)) if (wire === wireType) return type as AuthorityType;
  return null;
}
