import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { isMezError, MezError } from "../../../core/errors/error.js";
import type { WorkloadSnapshot } from "../../../proto/gen/mezite/workload_identities/v1/workload_identities.js";
import { FakeWorkloadAuthority } from "../../../test/fakes/workload-authority.js";
import { eventually } from "../../../test/fixtures/eventually.js";
import { silentLogger } from "../../../test/fixtures/silent-logger.js";
import { ChangeSignal } from "./change-signal.js";
import { WorkloadWatch } from "./workload-watch.js";

const watches: WorkloadWatch[] = [];
afterEach(() => Promise.all(watches.splice(0).map((watch) => watch.close())));

test("knows nothing before the first snapshot", async () => {
  const { watch } = await bed();
  assert.throws(
    () => watch.directory,
    (error) => isMezError(error, "UNAVAILABLE"),
  );
});

for (const [code, keeps] of [
  ["UNAVAILABLE", true],
  ["TIMEOUT", true],
  ["CANCELLED", true],
  ["INTERNAL", true],
  ["ACCESS_DENIED", false],
  ["UNAUTHENTICATED", false],
  ["PLUGIN_NOT_ENABLED", false],
] as const) {
  test(`${keeps ? "goes on with what it knows" : "serves nothing"} after ${code}, and follows again`, async () => {
    const { watch, end, opened, told } = await bed();
    watch.restart();
    await eventually(() => told.length === 1);
    end(new MezError(code, "for a test"));
    await eventually(() => opened() === 2 && told.length === (keeps ? 2 : 3));
    assert.deepEqual(told, keeps ? [1, 1] : [1, null, 1]);
    assert.equal(watch.directory.entries.length, 1);
  });
}

test("does not listen to what the stream of older certificates ends with", async () => {
  const { watch, opened, told } = await bed(new MezError("UNAUTHENTICATED", "superseded"));
  watch.restart();
  await eventually(() => told.length === 1);
  watch.restart();
  await eventually(() => told.length === 2);
  assert.deepEqual([told, opened()], [[1, 1], 2]);
});

// --- internal ---

/** @param last What an aborted stream ends with. */
async function bed(last?: MezError) {
  const authority = await FakeWorkloadAuthority.make({ now: () => new Date() });
  authority.entries = [authority.entry("web", { uids: [1000] })];
  const told: (number | null)[] = [];
  let opened = 0;
  let end: (error: MezError) => void = () => {};
  async function* stream(signal: AbortSignal): AsyncIterable<WorkloadSnapshot | null> {
    opened += 1;
    yield authority.snapshot;
    await new Promise<void>((resolve, reject) => {
      end = reject;
      signal.addEventListener("abort", () => (last === undefined ? resolve() : reject(last)));
    });
  }
  const watch = new WorkloadWatch({
    source: { watch: stream, report: async () => {} },
    changes: new ChangeSignal(),
    onChange: (directory) => void told.push(directory?.entries.length ?? null),
    logger: silentLogger,
    random: () => 0.99,
  });
  watches.push(watch);
  return { watch, told, opened: () => opened, end: (error: MezError) => end(error) };
}
