import assert from "node:assert/strict";
import { test } from "node:test";
import { soleServer } from "../../test/fixtures/sole-server.js";
import type { Logger } from "./logger.js";
import { Sweeper } from "./sweeper.js";

test("sweeps at the start and again, goes on after a failure, and stops when it is disposed", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const lines: string[] = [];
  const write = (message: string): void => void lines.push(message);
  const logger: Logger = { debug: write, info: write, warn: write, error: write };
  const answers = [2, new Error("database is away"), 0, 1];
  let sweeps = 0;
  const sweep = async (): Promise<number> => {
    const answer = answers[sweeps++] ?? 0;
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const sweeper = new Sweeper({ what: "expired things", everyMs: 1000, sweep, logger, duties: soleServer });
  await sweeper.start();
  for (let turn = 0; turn < 3; turn += 1) {
    t.mock.timers.tick(1000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await sweeper.dispose();
  t.mock.timers.tick(10_000);
  assert.equal(sweeps, 4);
  assert.deepEqual(lines, ["removed expired things", "could not remove expired things", "removed expired things"]);
});

test("sweeps by itself where nobody shares the work", async () => {
  let sweeps = 0;
  const logger: Logger = { debug() {}, info() {}, warn() {}, error() {} };
  const sweeper = new Sweeper({ what: "expired things", everyMs: 60_000, sweep: async () => (sweeps += 1), logger });
  await sweeper.start();
  await sweeper.dispose();
  assert.equal(sweeps, 1);
});

test("leaves it to the server that has the duty", async () => {
  let sweeps = 0;
  const asked: string[] = [];
  const have = async (name: string): Promise<boolean> => asked.push(name) > 1;
  const logger: Logger = { debug() {}, info() {}, warn() {}, error() {} };
  const sweep = async (): Promise<number> => (sweeps += 1);
  for (const count of [0, 1]) {
    const sweeper = new Sweeper({ what: "expired things", everyMs: 60_000, sweep, logger, duties: { have } });
    await sweeper.start();
    await sweeper.dispose();
    assert.equal(sweeps, count);
  }
  assert.deepEqual(asked, ["remove expired things", "remove expired things"]);
});
