import { MezError } from "../../core/errors/error.js";
import type {
  ReportRequest,
  Session as SessionMessage,
  SessionEvent as WireEvent,
} from "../../proto/gen/mezite/sessions/v1/sessions.js";
import type { StartedSession } from "./api.js";
import type { LiveList, SessionEvent } from "./live-session.js";

/** A session as it goes over the wire. */
export function toSessionMessage(session: StartedSession): SessionMessage {
  const { id, kind, user, roles, login, node, clientAddress, startedAt } = session;
  return { id, kind, user, roles: [...roles], login, node, clientAddress, startedAt };
}

/** What a process tells the auth service of its sessions, as it goes over the wire. */
export function toReport(
  processId: string,
  {
    events,
    live,
    asking,
  }: { readonly events: readonly SessionEvent[]; readonly live: LiveList | null; readonly asking: readonly string[] },
): ReportRequest {
  return {
    processId,
    asking: [...asking],
    events: events.map(toWire),
    live: live === null ? undefined : { sessions: live.sessions.map(toSessionMessage), otherIds: [...live.otherIds] },
  };
}

/**
 * What a report says, with times no later than `now`.
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function parseReport(
  request: ReportRequest,
  now: Date,
): { readonly events: readonly SessionEvent[]; readonly live: LiveList | null; readonly asking: ReadonlySet<string> } {
  const { processId, events, live, asking } = request;
  if (processId === "" || processId.length > 100) throw new MezError("INVALID_ARGUMENT", "a report has to name its process");
  if (events.length > MAX_EVENTS) throw new MezError("INVALID_ARGUMENT", `a report has at most ${MAX_EVENTS} events`);
  return {
    asking: new Set(asking),
    events: events.map((event) => fromWire(event, now)),
    live:
      live === undefined
        ? null
        : { sessions: live.sessions.map((session) => fromSession(session, now)), otherIds: live.otherIds },
  };
}

// --- internal ---

const MAX_EVENTS = 1000;
const MAX_COMMAND_CHARACTERS = 16_384;
const ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

function toWire({ sessionId, number, at, event }: SessionEvent): WireEvent {
  const common = { sessionId, number, at };
  if (event.kind === "started") return { ...common, event: { $case: "started", started: toSessionMessage(event.session) } };
  if (event.kind === "exec")
    return { ...common, event: { $case: "exec", exec: { command: event.command, channel: event.channel } } };
  const { reason, bytesIn, bytesOut } = event;
  return { ...common, event: { $case: "ended", ended: { reason, bytesIn, bytesOut } } };
}

function fromWire({ sessionId, number, at, event }: WireEvent, now: Date): SessionEvent {
  if (!ID.test(sessionId)) throw new MezError("INVALID_ARGUMENT", `"${sessionId.slice(0, 60)}" is not the id of a session`);
  if (number < 1) throw new MezError("INVALID_ARGUMENT", `the events of a session are counted from 1, not from ${number}`);
  const common = { sessionId, number, at: notAfter(at, now) };
  switch (event?.$case) {
    case "started": {
      const session = fromSession(event.started, now);
      if (session.id !== sessionId) throw new MezError("INVALID_ARGUMENT", "the start of a session has to be about that session");
      return { ...common, event: { kind: "started", session } };
    }
    case "exec": {
      const { command, channel } = event.exec;
      return { ...common, event: { kind: "exec", command: command.slice(0, MAX_COMMAND_CHARACTERS), channel } };
    }
    case "ended":
      return { ...common, event: { kind: "ended", ...event.ended, reason: event.ended.reason.slice(0, 1000) } };
    default:
      throw new MezError("INVALID_ARGUMENT", "an event of a session has to say what happened");
  }
}

function fromSession(message: SessionMessage, now: Date): StartedSession {
  const { id, kind, user, roles, login, node, clientAddress, startedAt } = message;
  if (!ID.test(id)) throw new MezError("INVALID_ARGUMENT", `"${id.slice(0, 60)}" is not the id of a session`);
  if (kind !== "ssh") throw new MezError("INVALID_ARGUMENT", `session kind "${kind.slice(0, 30)}" is unknown; use ssh`);
  return { id, kind, user, roles, login, node, clientAddress, startedAt: notAfter(startedAt, now) };
}

function notAfter(at: Date | undefined, now: Date): Date {
  return at === undefined || Number.isNaN(at.getTime()) || at > now ? now : at;
}
