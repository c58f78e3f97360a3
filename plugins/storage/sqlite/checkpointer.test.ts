import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { Checkpointer } from "./checkpointer.js";

/** A log of which `copyable` frames can be copied, on a clock that the test moves; one that is copied whole is begun anew by the next commit. */
class FakeLog {
  log = 0;
  copyable = Number.POSITIVE_INFINITY;
  /** Whether something is written whenever it is copied beside the writer. */
  isBusy = false;
  now = 0;
  failure: Error | null = null;
  dataFailure: Error | null = null;
  readonly seen: string[] = [];
  readonly pauses: unknown[] = [];
  #checkpointed = 0;
  #isBetweenTransactions = false;
  readonly checkpointer = new Checkpointer({
    state: async () => ({ log: this.log, checkpointed: this.#checkpointed }),
    checkpoint: async () => {
      this.seen.push("checkpoint");
      await nextTurn();
      if (this.failure !== null) throw this.failure;
      this.#checkpointed = Math.min(this.log, this.copyable);
      const state = { log: this.log, checkpointed: this.#checkpointed };
      if (this.isBusy && !this.#isBetweenTransactions) this.log += 1;
      return state;
    },
    data: {
      datasync: async () => {
        this.seen.push("data");
        if (this.dataFailure !== null) throw this.dataFailure;
      },
    },
    logger: { debug() {}, info() {}, warn: (_message, fields) => void this.pauses.push(fields?.["againInSeconds"]), error() {} },
    now: () => this.now,
    minFrames: 1_000,
  });

  /** Commits, often enough that the log is looked at, with time for what goes on beside. @returns What was done. */
  async upkeeps(): Promise<string> {
    for (let round = 0; round < 16; round += 1) {
      if (this.log > 0 && this.log === this.#checkpointed) [this.log, this.#checkpointed] = [1, 0];
      this.#isBetweenTransactions = true;
      await this.checkpointer.upkeep();
      this.#isBetweenTransactions = false;
      await this.checkpointer.close();
    }
    return this.seen.splice(0).join(" ");
  }
}

/** Copied beside the writer until little is left. */
const MOST = "checkpoint data checkpoint data";
/** And the rest between two transactions. */
const WHOLE = `${MOST} checkpoint`;

test("copies most of a long log beside the writer, flushes it, and copies the rest between two transactions", async () => {
  const fake = new FakeLog();
  fake.isBusy = true;
  fake.log = 999;
  assert.equal(await fake.upkeeps(), "");
  fake.log = 1_000;
  assert.equal(await fake.upkeeps(), WHOLE);
});

test("leaves out the second step where nobody wrote during the first, so that the log has been begun anew", async () => {
  const fake = new FakeLog();
  fake.log = 1_000;
  assert.equal(await fake.upkeeps(), MOST);
});

test("tries a log that a reader keeps from being copied when it has grown by as much again", async () => {
  const fake = new FakeLog();
  [fake.log, fake.copyable] = [1_200, 300];
  assert.equal(await fake.upkeeps(), WHOLE);
  fake.log = 2_199;
  assert.equal(await fake.upkeeps(), "");
  [fake.log, fake.copyable] = [2_200, 10_000];
  assert.equal(await fake.upkeeps(), MOST);
  fake.log = 1_000;
  assert.equal(await fake.upkeeps(), MOST);
});

test("says that a log cannot be copied, and tries it again ever more rarely", async () => {
  const fake = new FakeLog();
  fake.log = 1_000;
  fake.failure = Object.assign(new Error("database or disk is full"), { code: "SQLITE_FULL" });
  for (const seconds of [0, 0.9, 1, 2.9, 3]) {
    fake.now = seconds * 1_000;
    await fake.upkeeps();
  }
  assert.deepEqual(fake.pauses, [1, 2, 4]);
  fake.failure = null;
  fake.now = 7_000;
  assert.equal(await fake.upkeeps(), MOST);
});

for (const [what, failing] of [
  ["the database", "dataFailure"],
  ["either file of a checkpoint", "failure"],
] as const)
  test(`goes no further when the disk has not taken ${what}`, async () => {
    const fake = new FakeLog();
    fake.log = 1_000;
    fake[failing] = Object.assign(new Error("disk I/O error"), { code: "SQLITE_IOERR_FSYNC" });
    await assert.rejects(fake.upkeeps(), /disk I\/O error/);
    fake[failing] = null;
    fake.seen.length = 0;
    await assert.rejects(fake.upkeeps(), /disk I\/O error/);
    assert.deepEqual([fake.seen, fake.pauses], [[], []]);
  });
