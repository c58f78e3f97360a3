import assert from "node:assert/strict";
import { test } from "node:test";
import { entryOf, manifestOf } from "../../test/fixtures/plugins.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import type { LocalCollections } from "../events/local-collections.js";
import type { CollectionKind } from "../plugin/collection.js";
import type { Plugin } from "../plugin/contract.js";
import { systemClock } from "../time/clock.js";
import type { AssembledPlugin } from "./assembly.js";
import type { CheckedEntry } from "./catalog.js";
import { ClusterState } from "./cluster-state.js";
import { collectDeclarations } from "./declarations.js";
import { Generations } from "./generations.js";

interface Published {
  readonly version?: number;
  readonly values?: readonly (readonly [key: string, value: string])[];
  readonly start?: () => Promise<void>;
  readonly entries?: () => Promise<readonly (readonly [key: string, value: string])[]>;
  readonly name?: string;
}

/** The generations of an auth service without a database. */
class Bed {
  readonly failures: string[] = [];
  readonly state: ClusterState;
  readonly generations: Generations;

  constructor() {
    const logger = { ...silentLogger, error: (message: string) => void this.failures.push(message) };
    const process = { ...{ clusterName: "t", version: "0.1.0", dataDirectory: "" }, roles: new Set(["auth"] as const) };
    this.state = new ClusterState({
      ...{ logger, clock: systemClock, generation: () => this.generations.current, subscribers: () => [], onBroken() {} },
      process: { ...process, authAddresses: [], joinToken: null },
    });
    this.generations = new Generations({ core: new Map(), state: this.state, logger, onAdopted: () => {} });
  }

  run(...plugins: readonly AssembledPlugin[]): Promise<unknown> {
    return this.generations.replace(plugins, new Set(), async () => {});
  }

  /** What watchers are shown, and what this process sees of it. */
  get shown(): readonly unknown[] {
    const collections = this.state.published as LocalCollections;
    return collections.published().map(([id, kind]) => [id, ...collections.of(kind).entries()]);
  }
}

/** A plugin that publishes a collection. */
function publishing(id: string, digest: string, parts: Published): AssembledPlugin {
  const { version = 1, values = [], start, name = "things", entries } = parts;
  const kind: CollectionKind<string> = { name, version, visibleTo: () => true };
  const manifest = manifestOf(id, { runsIn: ["auth"], contributes: { collections: [name] } });
  const plugin: Plugin<never> = {
    register(host) {
      host.publish(kind, () => ({ entries: entries ?? (async () => values) }));
      if (start !== undefined) host.run(() => ({ start }));
    },
  };
  const roles = new Set(["auth"] as const);
  const declarations = collectDeclarations(plugin, manifest, roles, {});
  return { entry: entryOf(manifest, plugin) as CheckedEntry, digest, roles, requires: [], declarations };
}

const fails = async (): Promise<void> => {
  throw new Error("no luck");
};
const OLD = publishing("a", "old", { values: [["k", "old"]] });

for (const [what, next, shown] of [
  ["a new plugin", [OLD, publishing("b", "new", { name: "others", start: fails })], [["things@1", ["k", "old"]]]],
  [
    "a new edition",
    [
      publishing("a", "new", {
        values: [
          ["k", "new"],
          ["l", "new"],
        ],
        start: fails,
      }),
    ],
    [["things@1", ["k", "old"]]],
  ],
  ["another version of the collection", [publishing("a", "new", { version: 2, start: fails })], [["things@1", ["k", "old"]]]],
  ["a source", [publishing("a", "new", { entries: () => fails().then(() => []) })], [["things@1", ["k", "old"]]]],
] as const) {
  test(`a start that fails leaves no collection of it published: ${what}`, async () => {
    const bed = new Bed();
    await bed.run(OLD);
    await assert.rejects(bed.run(...next), /no luck/);
    assert.deepEqual([bed.shown, bed.failures], [shown, []]);
  });
}

test("puts back every collection that it can after a start that failed, and says which it could not", async () => {
  const bed = new Bed();
  let isAway = false;
  const torn = publishing("a", "old", { name: "torn", entries: async () => (isAway ? fails().then(() => []) : []) });
  const whole = (digest: string, value: string, start?: () => Promise<void>) =>
    publishing("b", digest, { name: "whole", values: [["k", value]], ...(start === undefined ? {} : { start }) });
  await bed.run(torn, whole("old", "old"));
  isAway = true;
  await assert.rejects(bed.run(publishing("a", "new", { name: "torn" }), whole("new", "new", fails)), /no luck/);
  assert.deepEqual(bed.shown.at(-1), ["whole@1", ["k", "old"]]);
  assert.match(bed.failures.join(), /^collection "torn" of plugin "a" could not be read again: no luck$/);
});

test("a version of a collection that nobody publishes any more is withdrawn", async () => {
  const bed = new Bed();
  await bed.run(OLD);
  await bed.run(publishing("a", "new", { version: 2, values: [["k", "new"]] }));
  assert.deepEqual(bed.shown, [["things@2", ["k", "new"]]]);
});

test("what cannot be adopted is taken down", async () => {
  const bed = new Bed();
  await bed.run(OLD);
  const log: string[] = [];
  const next = publishing("a", "new", { values: [["k", "new"]], start: async () => void log.push("started") });
  await assert.rejects(
    bed.generations.replace([next], new Set(), async () => assert.fail("no room")),
    /no room/,
  );
  assert.deepEqual([log, bed.shown], [["started"], [["things@1", ["k", "old"]]]]);
});
