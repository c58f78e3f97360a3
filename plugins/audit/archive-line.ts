import { MezError } from "../../core/errors/error.js";
import type { AuditRow } from "./audit-row.js";

/** Writes a row as a JSON object in one line, with the names of `mezctl audit ls --format=json`, its number and its hash. */
export function toLine(row: AuditRow): string {
  return JSON.stringify({
    seq: row.seq,
    id: row.id,
    event_type: row.eventType,
    event_code: row.eventCode,
    timestamp: row.timestamp.toISOString(),
    cluster_name: row.clusterName,
    user_name: row.userName,
    user_roles: JSON.parse(row.userRoles) as unknown,
    impersonator: row.impersonator,
    resource_type: row.resourceType,
    resource_name: row.resourceName,
    resource_labels: JSON.parse(row.resourceLabels) as unknown,
    server_id: row.serverId,
    server_hostname: row.serverHostname,
    client_ip: row.clientIp,
    session_id: row.sessionId,
    success: row.success,
    error_message: row.errorMessage,
    metadata: JSON.parse(row.metadata) as unknown,
    hash: row.hash,
  });
}

/**
 * Reads a line of `toLine`. Lists and maps become the texts that were hashed, because JSON keeps the order of keys.
 * @throws {MezError} `AUDIT_CHAIN_BROKEN` for anything else
 */
export function parseLine(line: string): AuditRow {
  const fields = parseObject(line);
  const text = (name: string): string => {
    const value = fields[name];
    if (typeof value === "string") return value;
    throw broken(line);
  };
  const json = (name: string): string => {
    const value = fields[name];
    if (typeof value === "object" && value !== null) return JSON.stringify(value);
    throw broken(line);
  };
  const { seq, success } = fields;
  const timestamp = new Date(text("timestamp"));
  if (typeof seq !== "number" || typeof success !== "boolean" || Number.isNaN(timestamp.getTime())) throw broken(line);
  return {
    ...{ seq, id: text("id"), eventType: text("event_type"), eventCode: text("event_code"), timestamp },
    ...{ clusterName: text("cluster_name"), userName: text("user_name"), userRoles: json("user_roles") },
    ...{ impersonator: text("impersonator"), resourceType: text("resource_type"), resourceName: text("resource_name") },
    ...{ resourceLabels: json("resource_labels"), serverId: text("server_id"), serverHostname: text("server_hostname") },
    ...{ clientIp: text("client_ip"), sessionId: text("session_id"), success, errorMessage: text("error_message") },
    ...{ metadata: json("metadata"), hash: text("hash") },
  };
}

// --- internal ---

function parseObject(line: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {
    // Falls through: it is not a line of ours.
  }
  throw broken(line);
}

function broken(line: string): MezError {
  return new MezError("AUDIT_CHAIN_BROKEN", `the archive has a line that is no event: ${line.slice(0, 80)}`);
}
