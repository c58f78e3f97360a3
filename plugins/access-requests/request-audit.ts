import type { AuditEventType, AuditRecord } from "../../core/plugin/audit.js";
import type { AccessRequest } from "./access-request.js";
import type { Person } from "./request-people.js";

/**
 * The record of one step of a request.
 * @param person Who took the step; `null` for the cluster itself.
 */
export function auditRecordOf(
  type: AuditEventType,
  request: AccessRequest,
  person: Person | null,
  more: Readonly<Record<string, unknown>>,
): AuditRecord {
  const subject = { resourceType: "access_request", resourceName: request.id };
  return { ...authorOf(person), ...subject, type, metadata: { ...metadataOf(request), ...more } };
}

// --- internal ---

function authorOf(person: Person | null): Omit<AuditRecord, "type"> {
  if (person === null) return {};
  const { name, roles, sessionId, clientAddress } = person;
  return { userName: name, userRoles: roles, sessionId, clientIp: clientAddress };
}

function metadataOf({
  user,
  roles,
  nodes,
  reason,
  ttlSeconds,
  approvalsNeeded,
  reviews,
  closeReason,
}: AccessRequest): Record<string, unknown> {
  return {
    ...{ requester: user, roles, nodes, reason, ttl_seconds: ttlSeconds, approvals_needed: approvalsNeeded },
    ...{ reviewers: reviews.map(({ reviewer, approved }) => `${reviewer}: ${approved ? "approve" : "deny"}`) },
    ...(closeReason === "" ? {} : { close_reason: closeReason }),
  };
}
