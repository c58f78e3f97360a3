import assert from "node:assert/strict";
import { test } from "node:test";
import { AuditEvent, AuditServiceService } from "../../../proto/gen/mezite/audit/v1/audit.js";
import { SimulatedReporter } from "./simulated-reporter.js";

test("tells what it has in as few reports as a real agent, and again what was refused", async () => {
  const reports: string[][] = [];
  const all = Promise.withResolvers<void>();
  const reporter = new SimulatedReporter(async (_path, request) => {
    const { events } = AuditServiceService.reportEvents.requestDeserialize(request);
    reports.push(events.map(({ id }) => id));
    if (reports.length === 1) {
      reporter.add([AuditEvent.fromPartial({ id: "2" })]);
      throw new Error("refused");
    }
    all.resolve();
    return Buffer.alloc(0);
  });
  reporter.add([AuditEvent.fromPartial({ id: "0" }), AuditEvent.fromPartial({ id: "1" })]);
  await all.promise;
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(reports, [
    ["0", "1"],
    ["0", "1", "2"],
  ]);
  assert.deepEqual([reporter.stored, reporter.waiting, reporter.again], [3, 0, 1]);
});
