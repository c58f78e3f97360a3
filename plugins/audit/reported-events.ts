import { MezError } from "../../core/errors/error.js";
import type { Caller } from "../../core/plugin/caller.js";
import type { AuditEvent as WireEvent } from "../../proto/gen/mezite/audit/v1/audit.js";
import type { ReportableEventType } from "./api.js";
import type { ReportedEvent } from "./report-intake.js";

export const MAX_EVENTS_PER_REPORT = 500;

/**
 * Checks what an agent reports. Its id and name come from its certificate, whatever the event says.
 * @throws {MezError} `INVALID_ARGUMENT`, `ACCESS_DENIED`
 */
export function parseReport(events: readonly WireEvent[], caller: Caller, now: Date): readonly ReportedEvent[] {
  if (caller.kind !== "agent") throw new MezError("ACCESS_DENIED", "only proxies and nodes report events");
  if (events.length > MAX_EVENTS_PER_REPORT)
    throw new MezError(
      "INVALID_ARGUMENT",
      `${events.length} events are too many for one report; send ${MAX_EVENTS_PER_REPORT} at most`,
    );
  return events.map((event) => ({
    id: parseId(event.id),
    type: parseType(event.eventType),
    occurredAt: parseTime(event.timestamp, now),
    userName: event.userName,
    userRoles: event.userRoles,
    resourceType: event.resourceType,
    resourceName: event.resourceName,
    resourceLabels: event.resourceLabels,
    serverId: caller.id,
    serverHostname: caller.name,
    clientIp: event.clientIp,
    sessionId: event.sessionId,
    success: event.success,
    errorMessage: event.errorMessage,
    metadata: parseMetadata(event.metadataJson),
  }));
}

// --- internal ---

const REPORTABLE = {
  "access.denied": true,
  "session.end": true,
  "session.exec": true,
  "session.file": true,
  "session.forward": true,
  "session.recording.failed": true,
  "session.start": true,
  "session.terminated": true,
} as const satisfies Record<ReportableEventType, true>;

const MAX_CLOCK_SKEW_MS = 300_000;

function parseId(id: string): string {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id))
    throw new MezError("INVALID_ARGUMENT", `event id "${id.slice(0, 40)}" is not a UUID in lower case`);
  return id;
}

function parseType(type: string): ReportableEventType {
  if (!Object.hasOwn(REPORTABLE, type))
    throw new MezError(
      "INVALID_ARGUMENT",
      `event type "${type.slice(0, 60)}" cannot be reported; only ${Object.keys(REPORTABLE).join(", ")} can`,
    );
  return type as ReportableEventType;
}

// An agent whose clock runs ahead must not place its events before those that follow.
function parseTime(timestamp: Date | undefined, now: Date): Date {
  if (timestamp === undefined) throw new MezError("INVALID_ARGUMENT", "an event has no timestamp");
  return timestamp.getTime() > now.getTime() + MAX_CLOCK_SKEW_MS ? now : timestamp;
}

function parseMetadata(json: string): Readonly<Record<string, unknown>> {
  if (json === "") return {};
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Falls through to the same answer as any other text that is no object.
  }
  throw new MezError("INVALID_ARGUMENT", "the metadata of an event is not a JSON object");
}
