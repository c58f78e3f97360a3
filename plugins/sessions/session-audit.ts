import type { AuditRecord } from "../../core/plugin/audit.js";
import type { StartedSession } from "./api.js";
import type { LiveSessionRow, Reporter } from "./live-session.js";

/** `session.start` of a session, at the moment when it began. */
export function startRecord(row: LiveSessionRow, reporter: Reporter): AuditRecord {
  return { ...common(row, reporter), type: "session.start", occurredAt: row.startedAt };
}

/** The audit record of a command in a session. */
export function execRecord(
  row: LiveSessionRow,
  reporter: Reporter,
  at: Date,
  { command, channel }: { readonly command: string; readonly channel: number },
): AuditRecord {
  const record = common(row, reporter);
  return { ...record, type: "session.exec", occurredAt: at, metadata: { ...record.metadata, command, channel } };
}

/** The audit record of the end of a session, with how long it was and the bytes of both directions. */
export function endRecord(
  row: LiveSessionRow,
  reporter: Reporter,
  at: Date,
  { reason, bytesIn, bytesOut }: { readonly reason: string; readonly bytesIn: number; readonly bytesOut: number },
): AuditRecord {
  const seconds = Math.max(0, Math.round((at.getTime() - row.startedAt.getTime()) / 1000));
  const record = common(row, reporter);
  const metadata = { ...record.metadata, reason, bytes_in: bytesIn, bytes_out: bytesOut, duration_seconds: seconds };
  return { ...record, type: "session.end", occurredAt: at, metadata };
}

/** `access.denied` of a session that was one too many. */
export function refusalRecord(session: StartedSession, reporter: Reporter, reason: string): AuditRecord {
  return { ...common(session, reporter), type: "access.denied", success: false, errorMessage: reason };
}

/** `session.end` of a session whose process is gone without having said so. */
export function lostRecord(row: LiveSessionRow, at: Date, reason: string): AuditRecord {
  const metadata = { kind: row.kind, login: row.login, reason, lost: true };
  return { ...of(row), type: "session.end", occurredAt: at, success: false, errorMessage: reason, metadata };
}

// --- internal ---

function of(row: StartedSession): Omit<AuditRecord, "type"> {
  return {
    userName: row.user,
    userRoles: row.roles,
    resourceType: "node",
    resourceName: row.node,
    serverHostname: row.node,
    clientIp: row.clientAddress,
    sessionId: row.id,
  };
}

function common(row: StartedSession, reporter: Reporter): Omit<AuditRecord, "type"> {
  return {
    ...of(row),
    ...(reporter.role === "node" ? { serverId: reporter.id } : {}),
    metadata: { kind: row.kind, login: row.login, reported_by: `${reporter.role}:${reporter.name}` },
  };
}
