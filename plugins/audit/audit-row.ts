import type { AuditEvent } from "../../core/plugin/audit.js";
import { eventCodeOf } from "./event-code.js";

/** An event as it lies in `audit_events`. Absent texts are empty; lists and maps are JSON texts. */
export interface AuditRow {
  /** 1, 2, 3 … without gaps. */
  readonly seq: number;
  readonly id: string;
  readonly eventType: string;
  readonly eventCode: string;
  readonly timestamp: Date;
  readonly clusterName: string;
  readonly userName: string;
  /** JSON array. */
  readonly userRoles: string;
  readonly impersonator: string;
  readonly resourceType: string;
  readonly resourceName: string;
  /** JSON object, keys sorted. */
  readonly resourceLabels: string;
  readonly serverId: string;
  readonly serverHostname: string;
  readonly clientIp: string;
  readonly sessionId: string;
  readonly success: boolean;
  readonly errorMessage: string;
  /** JSON object. */
  readonly metadata: string;
  /** Links the row to the one before it; 64 hexadecimal digits. */
  readonly hash: string;
}

/** A row before it has its place in the chain. */
export type UnchainedRow = Omit<AuditRow, "seq" | "hash">;

/** Lays an event out as a row. Texts that no database takes, or that are absurdly long, are made to fit. */
export function toUnchainedRow(event: AuditEvent): UnchainedRow {
  return {
    id: event.id,
    eventType: event.type,
    eventCode: eventCodeOf(event.type),
    timestamp: event.occurredAt,
    clusterName: text(event.clusterName),
    userName: text(event.userName),
    userRoles: json((event.userRoles ?? []).map(text), "[]"),
    impersonator: "",
    resourceType: text(event.resourceType),
    resourceName: text(event.resourceName),
    resourceLabels: json(sorted(event.resourceLabels ?? {}), "{}"),
    serverId: text(event.serverId),
    serverHostname: text(event.serverHostname),
    clientIp: text(event.clientIp),
    sessionId: text(event.sessionId),
    success: event.success,
    errorMessage: text(event.errorMessage),
    metadata: metadataText(event.metadata),
  };
}

/** A text as it is stored, made to fit; once more changes nothing. */
export function text(value: string | undefined): string {
  const whole = value ?? "";
  const short = whole.length > MAX_TEXT ? `${whole.slice(0, MAX_TEXT)}…` : whole;
  // PostgreSQL stores neither NUL nor half of a surrogate pair; in JSON both are escaped.
  return short.replace(/\0|\p{Surrogate}/gu, "\ufffd");
}

/** A map as it is stored: JSON, made to fit. */
export function metadataText(metadata: Readonly<Record<string, unknown>> | undefined): string {
  return json(metadata ?? {}, '{"truncated":true}');
}

// --- internal ---

const MAX_TEXT = 4096;
const MAX_JSON = 65_536;

function json(value: unknown, tooLong: string): string {
  const whole = JSON.stringify(value);
  return whole.length > MAX_JSON ? tooLong : whole;
}

function sorted(labels: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(labels).map(([key, value]) => [text(key), text(value)] as const);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}
