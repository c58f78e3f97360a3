import type { Caller, Permission, PermissionHolder } from "../plugin/caller.js";
import type { Port } from "../plugin/contract.js";

/** Decides whether a caller holds a permission. */
export interface Authorizer {
  /**
   * @param holders Who holds it by the manifest that declares it, besides `admin`.
   * @returns `null` when allowed, else the reason, for the audit log.
   */
  refusal(caller: Caller, permission: Permission, holders: readonly PermissionHolder[]): string | null;
}

export const AUTHORIZER: Port<Authorizer> = { id: "authorizer", version: 1, cardinality: "exactly-one" };
