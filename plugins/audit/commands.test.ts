import assert from "node:assert/strict";
import { test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import type { Column, CommandContext } from "../../core/plugin/commands.js";
import type { AuditEvent, ListEventsRequest, VerifyProgress } from "../../proto/gen/mezite/audit/v1/audit.js";
import { ALL_COLUMNS } from "./event-columns.js";
import { listEvents } from "./list-command.js";
import { parseMoment } from "./moment.js";
import { verifyLog } from "./verify-command.js";

const NOW = new Date("2026-03-02T00:00:00Z");

/** A context over a server with `total` events. */
function contextOf(total: number, progress: readonly VerifyProgress[] = []) {
  const requests: Pick<ListEventsRequest, "pageSize" | "pageToken">[] = [];
  const printed: unknown[] = [];
  const notes: string[] = [];
  const client = {
    async listEvents(request: ListEventsRequest) {
      requests.push(request);
      const start = Number(request.pageToken);
      const events = Array.from(
        { length: Math.min(request.pageSize, total - start) },
        (_, index) => ({ id: String(start + index) }) as AuditEvent,
      );
      return {
        events,
        nextPageToken: start + events.length < total ? String(start + events.length) : "",
        notice: total === 0 ? "no such type" : "",
      };
    },
    async *verify() {
      yield* progress;
    },
  };
  const output = {
    format: "json",
    rows: async (rows: readonly AuditEvent[], columns: readonly Column<AuditEvent>[]) => void printed.push(rows.length, columns),
    record: async (row: unknown) => void printed.push(row),
    note: (text: string) => void notes.push(text),
  };
  const context = {
    rpc: async () => client,
    output,
    now: () => NOW,
    signal: new AbortController().signal,
  } as unknown as CommandContext;
  return { context, requests, printed, notes };
}

for (const [limit, total, sizes, shown, noted] of [
  [100, 0, [100], 0, true],
  [100, 30, [100], 30, false],
  [100, 500, [100], 100, true],
  [1200, 5000, [500, 500, 200], 1200, true],
  [1200, 1000, [500, 500], 1000, false],
] as const) {
  test(`ls --limit=${limit} of ${total} events shows ${shown}`, async () => {
    const { context, requests, printed, notes } = contextOf(total);
    await listEvents(context, { limit, since: "1h" });
    assert.deepEqual(
      requests.map((request) => request.pageSize),
      sizes,
    );
    assert.deepEqual(printed, [shown, ALL_COLUMNS]);
    assert.equal(notes.length > 0, noted);
  });
}

test("verify prints the verdict and fails with the event that does not fit", async () => {
  const result = { intact: false, firstBad: 9, reason: "event 9 is missing", unchecked: 0 };
  const { context, printed } = contextOf(0, [{ checked: 5 }, { checked: 8, result }]);
  await assert.rejects(
    verifyLog(context, { archive: false }),
    (error) => isMezError(error, "AUDIT_CHAIN_BROKEN") && error.kind === "corrupt" && /event 9/.test(error.message),
  );
  assert.deepEqual(printed, [{ checked: 8, ...result }]);
});

test("verify does not call a log intact that was not read to its end", async () => {
  await assert.rejects(verifyLog(contextOf(0, [{ checked: 5 }]).context, { archive: false }), (error) =>
    isMezError(error, "UNAVAILABLE"),
  );
});

test("verify says which events only the archive has", async () => {
  const result = { intact: true, firstBad: 0, reason: "", unchecked: 40 };
  const { context, notes } = contextOf(0, [{ checked: 8, result }]);
  await verifyLog(context, { archive: false });
  assert.match(notes.join(), /events 1 to 40 .*--archive/);
});

for (const [text, moment] of [
  ["24h", "2026-03-01T00:00:00.000Z"],
  ["1h30m", "2026-03-01T22:30:00.000Z"],
  ["2026-03-01", "2026-03-01T00:00:00.000Z"],
  ["2026-03-01T08:00:00+02:00", "2026-03-01T06:00:00.000Z"],
] as const) {
  test(`reads ${text} as ${moment}`, () => assert.equal(parseMoment(text, NOW).toISOString(), moment));
}

for (const text of ["", "yesterday", "1", "1x", "2026-13-01", "2026-03-01T08:00", "-1h"]) {
  test(`refuses "${text}" as a time`, () =>
    assert.throws(
      () => parseMoment(text, NOW),
      (error) => isMezError(error) && error.kind === "usage",
    ));
}
