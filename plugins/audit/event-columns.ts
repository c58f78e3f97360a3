import type { Column } from "../../core/plugin/commands.js";
import type { AuditEvent } from "../../proto/gen/mezite/audit/v1/audit.js";

/** What a person looks for first. */
export const TABLE_COLUMNS: readonly Column<AuditEvent>[] = [
  { key: "timestamp", header: "Time", value: (event) => event.timestamp },
  { key: "eventType", header: "Type", value: (event) => event.eventType },
  { key: "userName", header: "User", value: (event) => event.userName, shrink: true },
  { key: "resourceName", header: "Resource", value: (event) => resource(event), shrink: true },
  { key: "clientIp", header: "From", value: (event) => event.clientIp },
  { key: "success", header: "Result", value: (event) => (event.success ? "ok" : event.errorMessage || "failed"), shrink: true },
];

/** Every field, for JSON and YAML. */
export const ALL_COLUMNS: readonly Column<AuditEvent>[] = [
  { key: "id", header: "Id", value: (event) => event.id },
  { key: "eventType", header: "Type", value: (event) => event.eventType },
  { key: "eventCode", header: "Code", value: (event) => event.eventCode },
  { key: "timestamp", header: "Time", value: (event) => event.timestamp },
  { key: "clusterName", header: "Cluster", value: (event) => event.clusterName },
  { key: "userName", header: "User", value: (event) => event.userName },
  { key: "userRoles", header: "Roles", value: (event) => event.userRoles },
  { key: "impersonator", header: "Impersonator", value: (event) => event.impersonator },
  { key: "resourceType", header: "Resource type", value: (event) => event.resourceType },
  { key: "resourceName", header: "Resource", value: (event) => event.resourceName },
  { key: "resourceLabels", header: "Labels", value: (event) => event.resourceLabels },
  { key: "serverId", header: "Server id", value: (event) => event.serverId },
  { key: "serverHostname", header: "Server", value: (event) => event.serverHostname },
  { key: "clientIp", header: "From", value: (event) => event.clientIp },
  { key: "sessionId", header: "Session", value: (event) => event.sessionId },
  { key: "success", header: "Success", value: (event) => event.success },
  { key: "errorMessage", header: "Error", value: (event) => event.errorMessage },
  {
    key: "metadata",
    header: "Metadata",
    value: (event) => event.metadataJson,
    json: (event) => JSON.parse(event.metadataJson || "{}") as unknown,
  },
];

// --- internal ---

function resource(event: AuditEvent): string {
  return event.resourceType === "" || event.resourceName === ""
    ? event.resourceName
    : `${event.resourceType}/${event.resourceName}`;
}
