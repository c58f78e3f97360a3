import type { DeviceTrust, ProvenSessionMfa, Role, SessionMfa, SessionOptions } from "./api.js";

/** The smallest `max_session_ttl` of the roles, `null` when none has one. */
export function smallestTtl(roles: readonly Role[]): number | null {
  let smallest: number | null = null;
  for (const { options } of roles) {
    const ttl = options.maxSessionTtlSeconds;
    if (ttl !== null && (smallest === null || ttl < smallest)) smallest = ttl;
  }
  return smallest;
}

/**
 * The strictest of every option: for one session, over the roles that grant it. A role that forbids forwarding for
 * production is not undone by a second role that also reaches production.
 */
export function strictestOptions(roles: readonly Role[]): Omit<SessionOptions, "maxSessionTtlSeconds"> {
  return {
    requireSessionMfa: strictest(MFA_BY_STRICTNESS, roles, (role) => role.options.requireSessionMfa),
    deviceTrustMode: strictest(TRUST_BY_STRICTNESS, roles, (role) => role.options.deviceTrustMode),
    portForwarding: roles.every((role) => role.options.portForwarding),
    fileCopy: roles.every((role) => role.options.fileCopy),
  };
}

/** Tells whether a role's demand asks for anything. */
export function demandsMfa(demand: SessionMfa): demand is ProvenSessionMfa {
  return MFA_BY_STRICTNESS.indexOf(demand) >= MFA_BY_STRICTNESS.indexOf("totp");
}

/** Tells whether what was proven is what is demanded, or stronger. */
export function isEnoughMfa(proven: ProvenSessionMfa, demanded: ProvenSessionMfa): boolean {
  return MFA_BY_STRICTNESS.indexOf(proven) >= MFA_BY_STRICTNESS.indexOf(demanded);
}

// --- internal ---

const MFA_BY_STRICTNESS: readonly SessionMfa[] = ["", "off", "totp", "webauthn", "hardware_key"];
const TRUST_BY_STRICTNESS: readonly DeviceTrust[] = ["", "optional", "required"];

function strictest<T>(order: readonly T[], roles: readonly Role[], optionOf: (role: Role) => T): T {
  return order[Math.max(0, ...roles.map((role) => order.indexOf(optionOf(role))))] as T;
}
