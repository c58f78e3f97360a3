import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "../../test/fixtures/eventually.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { isMezError, MezError } from "../errors/error.js";
import type { LogFields } from "../plugin/logger.js";
import { KEY_BACKEND, type KeyBackend } from "../ports/key-backend.js";
import { BackOff } from "../time/back-off.js";
import { ISOLATED_PORTS, type IsolatedPort } from "./isolated-ports.js";
import { type Launched, Supervisor } from "./supervisor.js";

/** Processes that are only counted: each start takes the next of `outcomes`, and then always works. */
class FakeProcesses {
  readonly killed: string[] = [];
  readonly waits: unknown[] = [];
  starts = 0;
  #end: (why: string) => void = () => {};

  constructor(private readonly outcomes: readonly ("works" | "fails" | "ends at once")[] = []) {}

  readonly launch = async (onEnded: (why: string) => void): Promise<Launched> => {
    const outcome = this.outcomes[this.starts] ?? "works";
    this.starts += 1;
    if (outcome === "fails") throw new MezError("PLUGIN_START_FAILED", "no luck");
    this.#end = onEnded;
    if (outcome === "ends at once") onEnded("it fell");
    const child = {
      pid: this.starts,
      memoryBytes: 0,
      call: async () => Buffer.from([this.starts]),
      end: async () => {},
      kill: (why: string) => void this.killed.push(why),
      ended: async () => {},
    };
    return { child, started: { properties: [] } };
  };

  end(why: string): void {
    this.#end(why);
  }

  supervisor(): Supervisor {
    const error = (_message: string, fields?: LogFields): void => void this.waits.push(fields?.restartInSeconds);
    return new Supervisor({
      ...{ id: "x", launch: this.launch, logger: { ...silentLogger, error } },
      backOff: new BackOff(0.1, 0.4, () => 0),
    });
  }
}

const backendOf = (supervisor: Supervisor) =>
  supervisor.implementation(ISOLATED_PORTS.get(KEY_BACKEND.id) as IsolatedPort, "x") as KeyBackend;

test("does not start when the first process does not", async () => {
  const processes = new FakeProcesses(["fails"]);
  await assert.rejects(processes.supervisor().start(), (error) => isMezError(error, "PLUGIN_START_FAILED"));
  await delay(150);
  assert.equal(processes.starts, 1);
});

test("waits longer and longer between starts that fail, and leads calls to the one that works", async () => {
  const processes = new FakeProcesses(["works", "fails", "ends at once", "fails", "works"]);
  const supervisor = processes.supervisor();
  const backend = backendOf(supervisor);
  await supervisor.start();
  assert.deepEqual(await backend.sign("h", Buffer.alloc(0)), Buffer.from([1]));
  processes.end("it fell over");
  await assert.rejects(
    backend.sign("h", Buffer.alloc(0)),
    (error) => isMezError(error, "PLUGIN_UNAVAILABLE") && !/fell/.test(error.message) && error.detail === "it fell over",
  );
  await eventually(() => processes.starts === 5 && supervisor.health().state === "running");
  assert.deepEqual(await backend.sign("h", Buffer.alloc(0)), Buffer.from([5]));
  assert.deepEqual(processes.waits, [0.1, 0.2, 0.4, 0.4]);
  assert.deepEqual([supervisor.health().restarts, supervisor.health().lastFailure], [4, "no luck"]);
  await supervisor.dispose();
});

test("starts nothing again once it is disposed of", async () => {
  const processes = new FakeProcesses();
  const supervisor = processes.supervisor();
  await supervisor.start();
  processes.end("it fell");
  await supervisor.dispose();
  await delay(150);
  assert.equal(processes.starts, 1);
  await assert.rejects(backendOf(supervisor).generate("ed25519"), (error) => isMezError(error, "PLUGIN_UNAVAILABLE"));
});

test("says in health and log what a call threw, and not how often somebody made it throw", async () => {
  const logged: (LogFields | undefined)[] = [];
  const logger = { ...silentLogger, error: (_message: string, fields?: LogFields) => void logged.push(fields) };
  const child = {
    ...{ pid: 1, memoryBytes: 0, end: async () => {}, kill: () => {}, ended: async () => {} },
    call: () => Promise.reject(new MezError("INTERNAL", 'plugin "x" failed', { detail: "EACCES: permission denied" })),
  };
  const supervisor = new Supervisor({ id: "x", logger, launch: async () => ({ child, started: { properties: [] } }) });
  await supervisor.start();
  assert.equal(supervisor.health().lastFailure, null);
  for (let count = 0; count < 5; count += 1)
    await assert.rejects(backendOf(supervisor).generate("ed25519"), (error) => isMezError(error, "INTERNAL"));
  const why = "generate(): EACCES: permission denied";
  assert.deepEqual([supervisor.health().state, supervisor.health().lastFailure, logged], ["running", why, [{ error: why }]]);
  await supervisor.dispose();
});
