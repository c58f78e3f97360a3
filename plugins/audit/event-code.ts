/** The short, stable code of an event type, for alert rules. Types of other plugins that have none share `MZ0000`. */
export function eventCodeOf(eventType: string): string {
  return EVENT_CODES.get(eventType) ?? "MZ0000";
}

// --- internal ---

// A code is never used again for another type. 1: people, 2: sessions, 3: resources, 4: the cluster, 5: machines and services.
const EVENT_CODES: ReadonlyMap<string, string> = new Map([
  ["user.login", "MZ1000"],
  ["user.login.failed", "MZ1001"],
  ["user.logout", "MZ1002"],
  ["user.password.changed", "MZ1003"],
  ["user.cert.issued", "MZ1010"],
  ["authz.denied", "MZ1020"],
  ["access.denied", "MZ1021"],
  ["user.created", "MZ1100"],
  ["user.updated", "MZ1101"],
  ["user.deleted", "MZ1102"],
  ["session.start", "MZ2000"],
  ["session.end", "MZ2001"],
  ["session.exec", "MZ2002"],
  ["session.terminated", "MZ2003"],
  ["session.file", "MZ2004"],
  ["session.forward", "MZ2005"],
  ["session.recording.failed", "MZ2010"],
  ["recording.downloaded", "MZ2011"],
  ["recording.deleted", "MZ2012"],
  ["role.created", "MZ3000"],
  ["role.updated", "MZ3001"],
  ["role.deleted", "MZ3002"],
  ["token.created", "MZ3010"],
  ["token.deleted", "MZ3011"],
  ["lock.created", "MZ3020"],
  ["lock.deleted", "MZ3021"],
  ["access_request.created", "MZ3030"],
  ["access_request.approved", "MZ3031"],
  ["access_request.denied", "MZ3032"],
  ["access_request.cancelled", "MZ3033"],
  ["access_request.revoked", "MZ3034"],
  ["access_request.expired", "MZ3035"],
  ["connector.created", "MZ3040"],
  ["connector.deleted", "MZ3041"],
  ["ca.created", "MZ4000"],
  ["config.updated", "MZ4010"],
  ["plugin.enabled", "MZ4020"],
  ["plugin.disabled", "MZ4021"],
  ["plugin.reloaded", "MZ4022"],
  ["node.joined", "MZ5000"],
  ["node.left", "MZ5001"],
  ["node.updated", "MZ5002"],
  ["node.join.failed", "MZ5003"],
  ["node.cert.renewed", "MZ5004"],
]);
