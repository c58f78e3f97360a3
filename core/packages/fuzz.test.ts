import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { BUILTIN_PLUGINS } from "../../plugins/builtin.js";
import { packageFiles, temporaryFolder, writePackage } from "../../test/fixtures/package.js";
import { projectFile } from "../../test/fixtures/project-file.js";
import { loadConfig } from "../config/load.js";
import { readPackageSettings } from "../config/package-requests.js";
import { MezError } from "../errors/error.js";
import { type CatalogEntry, makeCatalog } from "../host/catalog.js";
import type { Manifest } from "../plugin/manifest.js";
import { hashOf } from "./package-store.js";
import { Packages } from "./packages.js";

const SEED = 20_260_101;
const MANIFESTS = 100;
const CONFIGS = 100;
/** Enough for a configuration to be whole; all of them would only take longer. */
const BUILTIN = BUILTIN_PLUGINS.filter(({ manifest }) => ["storage.sqlite", "locks"].includes((manifest as Manifest).id));

/** What stands in the place of something that was right. */
const ODDITIES: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1e308,
  "",
  "x",
  "__proto__",
  "../../etc/passwd",
  "\u0000\u202e",
  "a".repeat(5000),
  [],
  [null],
  [[[[]]]],
  {},
  { __proto__: null, constructor: 1 },
  { $ref: "#/nowhere" },
  { type: "object", pattern: "(a+)+$", properties: { a: { $ref: "#" } } },
];
const KEYS = [
  "id",
  "$ref",
  "$id",
  "constructor",
  "toString",
  "from",
  "integrity",
  "x".repeat(300),
  "config",
  "runsIn",
  "entries",
];

test(`refuses or takes ${MANIFESTS} damaged manifests, each with an error that names the plugin`, async (t) => {
  const base = temporaryFolder(t);
  const random = randomOf(SEED);
  const manifest = {
    ...(packageFiles("x")["plugin.json"] as Manifest),
    host: "^0.1",
    provides: [{ service: "x.y", version: 1 }],
    requires: [{ service: "clock", version: 1, optional: true }],
    implements: [{ port: "guard", name: "x" }],
    config: {
      type: "object",
      additionalProperties: false,
      properties: { a: { type: "string", default: "b" }, b: { type: "integer" } },
    },
    secrets: ["/a"],
    contributes: {
      commands: [{ name: "x", binary: "mezctl", summary: "x" }],
      rpc: ["x.v1.X"],
      permissions: [{ permission: "x:list", grantedTo: ["auditor"] }],
      auditEvents: ["x.happened"],
      tables: ["x"],
    },
    reach: ["network"],
  };
  let taken = 0;
  for (let count = 0; count < MANIFESTS; count += 1) {
    const folder = writePackage(join(base, "x"), { "plugin.cjs": "", "plugin.json": "" });
    const text = JSON.stringify(damage(manifest, random));
    writeFileSync(join(folder, "plugin.json"), random() < 0.1 ? text.slice(0, Math.floor(random() * text.length)) : text);
    const open = async (): Promise<void> => {
      const packages = new Packages(join(base, "store"), new Set(["locks"]));
      const wanted = { id: "x", from: "path:x", integrity: `sha256-${await hashOf(folder)}`, addedBy: "config" as const };
      const entries: readonly CatalogEntry[] = await packages.open([wanted], base);
      const catalog = makeCatalog([...BUILTIN, ...entries], "0.1.0", projectFile("plugin.schema.json"));
      await loadConfig(
        null,
        [...catalog.values()].map((entry) => entry.manifest),
        {},
        [],
        new Set(["x"]),
      );
    };
    if (await isTaken(open, text)) taken += 1;
  }
  assert.ok(taken < MANIFESTS);
  assert.equal(({} as Record<string, unknown>).a, undefined);
});

test(`refuses or takes ${CONFIGS} damaged config files, each with an error that says where`, async (t) => {
  const base = temporaryFolder(t);
  const random = randomOf(SEED + 1);
  const file = join(base, "mezite.yaml");
  const config = {
    data_dir: "data",
    plugins_dir: ".",
    plugins: {
      x: {
        from: "path:x",
        integrity: `sha256-${"0".repeat(64)}`,
        isolation: "process",
        memory_mib: 64,
        enabled: true,
        config: { a: "b" },
      },
      y: { from: "npm:@a/b@1.0.0", integrity: `sha256-${"1".repeat(64)}` },
    },
  };
  const described = {
    ...(packageFiles("x")["plugin.json"] as Manifest),
    config: { type: "object", additionalProperties: false, properties: { a: { type: "string" } } },
  };
  const manifests = [...BUILTIN.map((entry) => entry.manifest as Manifest), described, { ...described, id: "y" }];
  for (let count = 0; count < CONFIGS; count += 1) {
    const text = JSON.stringify(damage(config, random));
    writeFileSync(file, random() < 0.1 ? text.slice(0, Math.floor(random() * text.length)) : text);
    await isTaken(async () => {
      const { requests } = await readPackageSettings(file, {});
      for (const { from, integrity } of requests)
        assert.ok(typeof from === "string" && (integrity === null || /^sha256-[0-9a-f]{64}$/.test(integrity)));
      await loadConfig(file, manifests, {}, [], new Set(["x", "y"]));
    }, text);
  }
});

// --- internal ---

/** Whether it went through; anything but an error for people is a failure of the test. */
async function isTaken(work: () => Promise<void>, text: string): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    assert.ok(
      error instanceof MezError && error.kind !== "internal",
      `${text.slice(0, 2000)}\n${String((error as Error).stack)}`,
    );
    assert.ok(error.message.length < 2000, error.message);
    return false;
  }
}

/** A copy with one to three places replaced, removed, doubled or given another key. */
function damage(value: unknown, random: () => number): unknown {
  const copy: unknown = structuredClone(value);
  for (let times = 1 + Math.floor(random() * 3); times > 0; times -= 1) damageOnce(copy, random);
  return copy;
}

function damageOnce(root: unknown, random: () => number): void {
  let place = root as Record<string, unknown>;
  for (;;) {
    const keys = Object.keys(place);
    const key = pick(keys, random);
    const child = key === undefined ? undefined : place[key];
    if (key !== undefined && typeof child === "object" && child !== null && Object.keys(child).length > 0 && random() < 0.7) {
      place = child as Record<string, unknown>;
      continue;
    }
    const what = random();
    if (key === undefined || what < 0.2) place[pick(KEYS, random) ?? "x"] = pick(ODDITIES, random);
    else if (what < 0.4) delete place[key];
    else if (what < 0.5) place[pick(KEYS, random) ?? "x"] = child;
    else place[key] = pick(ODDITIES, random);
    return;
  }
}

function pick<T>(list: readonly T[], random: () => number): T | undefined {
  return list[Math.floor(random() * list.length)];
}

/** The same numbers from 0 up to 1 for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
