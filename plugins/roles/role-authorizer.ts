import { type Caller, isForMachines, type Permission, type PermissionHolder } from "../../core/plugin/caller.js";
import type { Authorizer } from "../../core/ports/authorizer.js";
import { ADMIN_ROLE, AUDITOR_ROLE } from "./built-in-roles.js";

/** The one thing that a person with a one-time password may do. */
export const CHANGE_PASSWORD: Permission = "password:update";

/** The one thing that is answered to the superseded certificate of a machine. */
export const RENEW_CERTIFICATE: Permission = "instance-certificate:create";

/**
 * Decides by the built-in roles. What is for proxies and nodes alone is not for people, not even for `admin`: such
 * calls say something about the process that makes them.
 */
export class RoleAuthorizer implements Authorizer {
  refusal(caller: Caller, permission: Permission, holders: readonly PermissionHolder[]): string | null {
    switch (caller.kind) {
      case "anonymous":
        return `${permission} needs a login`;
      case "agent":
        return holders.some((holder) => holder === caller.role) ? null : `${permission} is not for a ${caller.role}`;
      case "agent_identity":
        if (caller.isSuperseded && permission !== RENEW_CERTIFICATE) return "a newer certificate of this instance is in use";
        return holders.includes("agent_identity") ? null : `${permission} is not for an agent identity`;
      case "user":
        return userRefusal(caller, permission, holders);
    }
  }
}

// --- internal ---

function userRefusal(
  caller: Caller & { kind: "user" },
  permission: Permission,
  holders: readonly PermissionHolder[],
): string | null {
  if (caller.mustChangePassword && permission !== CHANGE_PASSWORD) return "the one-time password has to be changed first";
  if (isForMachines(holders)) return `${permission} is for ${holders.join(" and ")} processes only`;
  if (holders.includes("session") || caller.roles.includes(ADMIN_ROLE)) return null;
  if (holders.includes("auditor") && caller.roles.includes(AUDITOR_ROLE)) return null;
  return `${permission} needs role ${holders.includes("auditor") ? `${ADMIN_ROLE} or ${AUDITOR_ROLE}` : ADMIN_ROLE}`;
}
