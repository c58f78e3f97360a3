import { createHash } from "node:crypto";
import type { AuditRow } from "./audit-row.js";

/** What the first row follows. */
export const GENESIS_HASH = "0".repeat(64);

/**
 * The bytes of a row that the chain protects: a JSON array without spaces, as `JSON.stringify` writes it, of
 * 1 (the version of this layout), seq, id, event_type, event_code, timestamp (ISO 8601, UTC, milliseconds), cluster_name,
 * user_name, user_roles, impersonator, resource_type, resource_name, resource_labels, server_id, server_hostname, client_ip,
 * session_id, success, error_message, metadata. `user_roles`, `resource_labels` and `metadata` are the stored texts.
 */
export function canonicalRow(row: Omit<AuditRow, "hash">): string {
  return JSON.stringify([
    1,
    row.seq,
    row.id,
    row.eventType,
    row.eventCode,
    row.timestamp.toISOString(),
    row.clusterName,
    row.userName,
    row.userRoles,
    row.impersonator,
    row.resourceType,
    row.resourceName,
    row.resourceLabels,
    row.serverId,
    row.serverHostname,
    row.clientIp,
    row.sessionId,
    row.success,
    row.errorMessage,
    row.metadata,
  ]);
}

/** The hash of a row: SHA-256 over the 32 bytes of the hash before it, then the canonical bytes in UTF-8. Hexadecimal. */
export function chainHash(previousHash: string, row: Omit<AuditRow, "hash">): string {
  return createHash("sha256").update(previousHash, "hex").update(canonicalRow(row), "utf8").digest("hex");
}
