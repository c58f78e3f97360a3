import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { ReportRequest, type SessionEvent as WireEvent } from "../../proto/gen/mezite/sessions/v1/sessions.js";
import type { StartedSession } from "./api.js";
import type { SessionEvent } from "./live-session.js";
import { parseReport, toReport } from "./session-message.js";

const NOW = new Date("2026-03-01T00:00:00Z");
const ID = randomUUID();
const SESSION: StartedSession = {
  ...{ id: ID, kind: "ssh", user: "alice", roles: ["a", "b"], login: "deploy", node: "web-01", clientAddress: "::1" },
  startedAt: new Date("2026-02-28T23:00:00Z"),
};
const EVENTS: readonly SessionEvent[] = [
  { sessionId: ID, number: 1, at: NOW, event: { kind: "started", session: SESSION } },
  { sessionId: ID, number: 2, at: NOW, event: { kind: "exec", command: "ls", channel: 1 } },
  { sessionId: ID, number: 3, at: NOW, event: { kind: "ended", reason: "left", bytesIn: 2 ** 40, bytesOut: 0 } },
];

test("a report says on the other side what it said here", () => {
  const live = { sessions: [SESSION], otherIds: ["x"] };
  const sent = ReportRequest.decode(
    ReportRequest.encode(toReport("p1", { events: EVENTS, live, asking: [SESSION.id] })).finish(),
  );
  assert.deepEqual(parseReport(sent, NOW), { events: EVENTS, live, asking: new Set([SESSION.id]) });
});

test("a moment that has not come yet is now", () => {
  const [event] = parseReport(
    toReport("p1", { events: [{ ...EVENTS[1], at: new Date(NOW.getTime() + 9e9) } as SessionEvent], live: null, asking: [] }),
    NOW,
  ).events;
  assert.equal(event?.at.getTime(), NOW.getTime());
});

const report = toReport("p1", { events: EVENTS, live: null, asking: [] });
const first = report.events[0] as WireEvent;
const REFUSED: readonly (readonly [what: string, request: ReportRequest])[] = [
  ["no process", { ...report, processId: "" }],
  ["an id that is none", { ...report, events: [{ ...first, sessionId: "../x" }] }],
  ["an event without a number", { ...report, events: [{ ...first, number: 0 }] }],
  ["an event without content", { ...report, events: [{ sessionId: ID, number: 1 }] }],
  ["the start of another session", { ...report, events: [{ ...first, sessionId: randomUUID() }] }],
  ["too many events", { ...report, events: Array.from({ length: 1001 }, () => first) }],
  [
    "an unknown kind of session",
    toReport("p1", { events: [], live: { sessions: [{ ...SESSION, kind: "rdp" as "ssh" }], otherIds: [] }, asking: [] }),
  ],
];
for (const [what, request] of REFUSED) {
  test(`refuses a report with ${what}`, () => {
    assert.throws(
      () => parseReport(request, NOW),
      (error) => isMezError(error, "INVALID_ARGUMENT"),
    );
  });
}
