import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { openTestDatabase, type TestDatabase } from "../../test/fixtures/database.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { readDecided, writeDecided } from "../cluster/server-records.js";
import { isMezError, MezError } from "../errors/error.js";
import { ClusterDecisions } from "./cluster-decisions.js";
import { type AddedPackage, type PluginDecisions, readDecisions, storedForm, writeDecisions } from "./plugin-decisions.js";

const TAPE: AddedPackage = { from: "path:tape", integrity: "sha256-1" };

test("what is decided on one server is done by the other, and outlives both", async (t) => {
  const [a, b] = await servers(t, 2);
  await a.decide(switched("locks", false));
  await b.cluster.follow();
  assert.deepEqual(b.runs(), { locks: false });
  await b.decide(switched("locks", true), null);
  await a.cluster.follow();
  assert.deepEqual(a.runs(), { locks: true });
  const again = await a.restarted();
  assert.deepEqual(again.runs(), { locks: true });
  assert.deepEqual((await again.cluster.statuses()).map(({ isCurrent, problem }) => [isCurrent, problem]).sort(), [
    [true, ""],
    [true, ""],
  ]);
});

test("a server that lacks a package follows in the rest, says so, and catches up when it is there", async (t) => {
  const [a, b] = await servers(t, 2);
  b.missing.add("tape");
  await a.decide({ overrides: new Map([["tape", true]]), added: new Map([["tape", TAPE]]) });
  await b.cluster.follow();
  assert.deepEqual(b.runs(), { tape: true }, "which nothing here has");
  const problems = async () => (await a.cluster.statuses()).map(({ name, isCurrent, problem }) => [name, isCurrent, problem]);
  assert.deepEqual(await problems(), [
    ["0", true, ""],
    ["1", false, "tape is missing"],
  ]);
  await a.decide({
    overrides: new Map([
      ["tape", true],
      ["locks", false],
    ]),
    added: new Map([["tape", TAPE]]),
  });
  assert.deepEqual((await problems())[1], ["1", false, ""], "it has not looked yet");
  await b.cluster.follow();
  assert.deepEqual((await problems())[1], ["1", false, "tape is missing"]);
  assert.equal(b.runs()["locks"], false);
  b.missing.clear();
  await b.cluster.follow();
  assert.deepEqual(b.runs(), a.runs());
  assert.deepEqual((await problems())[1], ["1", true, ""]);
});

test("a server on which one of the plugins does not start does all else that was decided", async (t) => {
  const [a, b] = await servers(t, 2);
  await a.decide({ overrides: new Map([["devices", true]]), added: new Map([["tape", TAPE]]) });
  await b.cluster.follow();
  b.broken.add("mfa");
  await a.decide({
    overrides: new Map([
      ["mfa", true],
      ["devices", false],
      ["audit", true],
    ]),
    added: new Map(),
  });
  await b.cluster.follow();
  assert.deepEqual(b.runs(), { devices: false, audit: true });
  b.broken.clear();
  await b.cluster.follow();
  assert.deepEqual(b.runs(), a.runs());
});

test("a server goes on with what it has when it cannot read what was decided, and says so", async (t) => {
  const [a, b] = await servers(t, 2);
  await a.decide(switched("locks", false));
  await b.cluster.follow();
  await a.overwrite('{"plugins":{"tape":{}}}');
  await b.cluster.follow();
  assert.deepEqual(b.runs(), { locks: false });
  const [, status] = await a.cluster.statuses();
  assert.deepEqual([status?.isCurrent, status?.problem], [false, 'the entry of "tape" has no from or no integrity']);
});

for (const [what, tape] of [
  ["no text at all", null],
  ["ports that are none", { ...TAPE, ports: "guard" }],
] as const)
  test(`a server does not start on what it cannot read: ${what}`, async (t) => {
    const [a] = await servers(t, 1);
    await a.decide(switched("locks", false));
    await a.overwrite(tape === null ? "{" : JSON.stringify({ plugins: { tape }, reloads: {} }));
    const refused = /what this one cannot read, and a plugin that keeps people out may be among it/;
    await assert.rejects(
      a.again().cluster.begin(),
      (error) => isMezError(error, "PLUGIN_START_FAILED") && refused.test(error.message),
    );
  });

test("a server that never followed does not start without what was decided, and one that did goes on with what it has", async (t) => {
  const [a] = await servers(t, 1);
  await a.decide({ overrides: new Map([["tape", true]]), added: new Map([["tape", TAPE]]) });
  const fresh = a.another();
  fresh.missing.add("tape");
  await assert.rejects(
    fresh.cluster.begin(),
    (error) => isMezError(error, "PLUGIN_PACKAGE_REFUSED") && /this one cannot do: tape is missing/.test(error.message),
  );
  await assert.rejects(fresh.again().cluster.begin(), /this one cannot do: tape is missing/, "nor when it is started again");
  const known = a.another();
  writeDecisions(known.folder, { overrides: new Map(), added: new Map() });
  known.missing.add("tape");
  await known.cluster.begin();
  assert.deepEqual(known.runs(), { tape: true });
});

test("a server does not start without a plugin that keeps people out, unless its operator has written so", async (t) => {
  const [a] = await servers(t, 1);
  const guard = { ...TAPE, ports: ["guard"] };
  await a.decide({ overrides: new Map([["tape", true]]), added: new Map([["tape", guard]]) });
  const b = a.another();
  b.missing.add("tape");
  writeDecisions(b.folder, { overrides: new Map([["locks", false]]), added: new Map() });
  const refused =
    /"tape" runs, which keeps people out, and this one cannot: tape is missing; put its package .*, or write "tape": false/;
  await assert.rejects(b.cluster.begin(), (error) => isMezError(error, "PLUGIN_PACKAGE_REFUSED") && refused.test(error.message));
  await assert.rejects(b.again().cluster.begin(), refused, "nor when it is started again");
  writeDecisions(b.folder, switched("tape", false));
  await b.again().cluster.begin();

  const off = { overrides: new Map([["tape", false]]), added: new Map([["tape", guard]]) };
  await a.decide(off);
  const c = a.another();
  c.missing.add("tape");
  writeDecisions(c.folder, switched("locks", false));
  await c.cluster.begin();
});

test("what a server was told while it was alone is taken over by all, once", async (t) => {
  const opened = await openTestDatabase({});
  t.after(() => opened.close());
  const [a, b] = [new FakeServer(t, opened, []), new FakeServer(t, opened, [])];
  writeDecisions(a.folder, switched("locks", false));
  writeDecisions(b.folder, switched("devices", false));
  await a.cluster.begin();
  await b.cluster.begin();
  assert.deepEqual([a.runs(), b.runs()], [{ locks: false }, { locks: false }]);
});

test("of two that decide at once one is refused, and has decided nothing", async (t) => {
  const [a, b] = await servers(t, 2);
  const before = await b.cluster.latest();
  await a.decide(switched("locks", false));
  await assert.rejects(b.decide(switched("locks", true), null, before), (error) => isMezError(error, "CONFLICT"));
  await b.cluster.follow();
  assert.deepEqual(b.runs(), { locks: false });
});

test("a plugin that was told to start anew does so everywhere, and not at the start of a server", async (t) => {
  const [a, b] = await servers(t, 2);
  await a.decide(switched("locks", true), "locks");
  await a.decide(switched("locks", true), "");
  await b.cluster.follow();
  assert.deepEqual(b.reloaded, ["", "locks"]);
  assert.deepEqual((await b.restarted()).reloaded, []);
});

// --- internal ---

function switched(id: string, on: boolean): PluginDecisions {
  return { overrides: new Map([[id, on]]), added: new Map() };
}

async function servers(t: TestContext, count: number): Promise<[FakeServer, FakeServer]> {
  const opened = await openTestDatabase({});
  t.after(() => opened.close());
  const reports: (string | null)[] = [];
  const all = Array.from({ length: count }, () => new FakeServer(t, opened, reports));
  for (const each of all) await each.cluster.begin();
  return all as [FakeServer, FakeServer];
}

/** A server that runs whatever it is told, but for packages that it does not have. */
class FakeServer {
  readonly missing = new Set<string>();
  /** Plugins that do not start. */
  readonly broken = new Set<string>();
  readonly reloaded: string[] = [];
  readonly cluster: ClusterDecisions;
  readonly #name: number;

  constructor(
    private readonly t: TestContext,
    private readonly opened: TestDatabase,
    private readonly reports: (string | null)[],
    readonly folder = temporary(t),
  ) {
    this.#name = reports.push(null) - 1;
    this.cluster = new ClusterDecisions({
      servers: {
        decided: () => opened.database.read(readDecided),
        decide: (tx, before, decisions) => writeDecided(tx.em, before, decisions),
        list: async () => reports.map((report, name) => ({ name: String(name), isThis: name === this.#name, report })),
        report: async (text) => {
          reports[this.#name] = text;
        },
      },
      transaction: (work) => opened.database.transaction(work),
      dataDirectory: folder,
      address: () => null,
      apply: async (decisions, reloaded) => {
        for (const id of decisions.added.keys())
          if (this.missing.has(id)) throw new MezError("PLUGIN_PACKAGE_REFUSED", `${id} is missing`);
        for (const id of this.broken)
          if (decisions.overrides.get(id) === true) throw new MezError("INTERNAL", `${id} does not start`);
        this.reloaded.push(...[...reloaded].sort());
        writeDecisions(folder, decisions);
        return { generation: 2, started: [], replaced: [], stopped: [] };
      },
      lacks: (id) => this.missing.has(id) || !readDecisions(folder).added.has(id),
      alone: (work) => work(),
      logger: silentLogger,
      retryEveryMs: 0,
    });
  }

  runs(): Readonly<Record<string, unknown>> {
    return storedForm(readDecisions(this.folder));
  }

  /** As a command does it. */
  async decide(
    decisions: PluginDecisions,
    reload: string | null = null,
    before?: Awaited<ReturnType<ClusterDecisions["latest"]>>,
  ) {
    const base = before ?? (await this.cluster.latest());
    let decided: (() => void) | undefined;
    await this.opened.database.transaction(async (tx) => {
      decided = await this.cluster.decide(tx, base, decisions, reload);
    });
    decided?.();
    writeDecisions(this.folder, decisions);
  }

  /** As another release does it. */
  async overwrite(decisions: string): Promise<void> {
    const { revision } = await this.cluster.latest();
    await this.opened.database.transaction(async (tx) => void (await writeDecided(tx.em, revision, decisions)));
  }

  /** A new process over the same data directory. */
  async restarted(): Promise<FakeServer> {
    this.reports.splice(this.#name, 1);
    const again = new FakeServer(this.t, this.opened, this.reports, this.folder);
    await again.cluster.begin();
    again.cluster.start();
    await again.cluster.stop();
    return again;
  }

  /** The same machine, with the same lacking, after a start that failed. */
  again(): FakeServer {
    const again = new FakeServer(this.t, this.opened, this.reports, this.folder);
    for (const id of this.missing) again.missing.add(id);
    return again;
  }

  another(): FakeServer {
    return new FakeServer(this.t, this.opened, this.reports);
  }
}

function temporary(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "mezite-decisions-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
