import assert from "node:assert/strict";
import { test } from "node:test";
import { isMezError } from "../../../core/errors/error.js";
import type { PeerCredentials } from "../../../core/unix-socket/peer-credentials.js";
import type { ProcessState } from "./process-table.js";
import { Workload } from "./workload.js";

const STATE: ProcessState = {
  ...{ startTime: "5000", uid: 1000, gid: 100, groups: [27] },
  program: { id: "1:2:3", path: "/usr/bin/app" },
};

test("tells what the kernel says of the process", async () => {
  const { workload, asked } = bed([STATE]);
  const known = { pid: 42, uid: 1000, gid: 100, groups: [27], path: "/usr/bin/app", isProgramVisible: true };
  assert.deepEqual(await workload.attest(false), { ...known, sha256: null });
  assert.deepEqual(asked, []);
  assert.deepEqual(await workload.attest(true), { ...known, sha256: "digest of 1:2:3" });
  assert.deepEqual(asked, [[42, "1:2:3", 1000]]);
});

test("says so when the program cannot be seen, and asks for no digest", async () => {
  const { workload, asked } = bed([{ ...STATE, program: null }]);
  const { path, sha256, isProgramVisible } = await workload.attest(true);
  assert.deepEqual({ path, sha256, isProgramVisible, asked }, { path: null, sha256: null, isProgramVisible: false, asked: [] });
});

for (const [what, later, message] of [
  ["another process under the same number", { startTime: "5001" }, /has ended/],
  ["a process that is gone", null, /has ended/],
  ["a process that runs another program by now", { program: { id: "9:9:9", path: "/usr/bin/app" } }, /changed its program/],
  ["a process whose program cannot be seen any more", { program: null }, /changed its program/],
  ["a process that became another user", { uid: 0 }, /changed its user/],
  ["a process that took another group", { gid: 0 }, /changed its user/],
] as const) {
  test(`refuses ${what}`, async () => {
    const { workload, table } = bed([STATE]);
    await workload.attest(false);
    table.states = [later === null ? null : { ...STATE, ...later }];
    await assert.rejects(workload.attest(false), refusal(message));
  });

  test(`refuses ${what}, also when that happens while its program is read`, async () => {
    const { workload, table } = bed([STATE, STATE, STATE]);
    table.states = [STATE, later === null ? null : { ...STATE, ...later }];
    await assert.rejects(workload.attest(true), refusal(message));
  });

  test(`does not take the connection of ${what}, when that happens while it is accepted`, () => {
    assert.throws(() => bed([STATE, later === null ? null : { ...STATE, ...later }]), refusal(message));
  });
}

test("refuses a process under the number of the one that connected, when the kernel tells them apart", async () => {
  const { workload, credentials } = bed([STATE]);
  credentials.runs = false;
  await assert.rejects(workload.attest(false), refusal(/has ended/));
  assert.throws(() => bed([STATE], false), refusal(/has ended/));
});

// --- internal ---

/** States are given one after the other, the last one again and again. */
function bed(states: (ProcessState | null)[], runs = true) {
  const table = {
    states: [...states],
    look: (): ProcessState | null => (table.states.length > 1 ? table.states.shift() : table.states[0]) ?? null,
  };
  const credentials = { pid: 42, uid: 1000, gid: 100, runs, isRunning: () => credentials.runs, close() {} };
  const asked: [number, string, number][] = [];
  const digests = {
    of: async (pid: number, id: string, uid: number) => {
      asked.push([pid, id, uid]);
      return `digest of ${id}`;
    },
  };
  return { workload: new Workload(credentials satisfies PeerCredentials, table, digests), table, credentials, asked };
}

function refusal(message: RegExp): (error: unknown) => boolean {
  return (error) => isMezError(error, "ACCESS_DENIED") && message.test(error.message);
}
