import type { AuditEvent, AuditRecord } from "../plugin/audit.js";
import { uuidV7 } from "../time/uuid-v7.js";

/** Completes what a plugin says of a change with id, time and cluster. */
export function toAuditEvent(record: AuditRecord, now: Date, clusterName: string): AuditEvent {
  const occurredAt = record.occurredAt ?? now;
  return { ...record, id: record.id ?? uuidV7(occurredAt), occurredAt, clusterName, success: record.success ?? true };
}
