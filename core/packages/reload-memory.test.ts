import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { packageFiles, temporaryFolder, writePackage } from "../../test/fixtures/package.js";
import { hostOf } from "../../test/fixtures/plugins.js";
import type { CatalogEntry } from "../host/catalog.js";
import type { Plugin, Registrar } from "../plugin/contract.js";
import { Packages } from "./packages.js";

const RELOADS = 6;
const CODE = `const { CONNECTOR } = require("mezite/plugin");
  module.exports = { register(host) {
    host.implement(CONNECTOR, "kept", () => ({ async checkPassword() {} }));
    host.run(() => ({ async start() {}, async dispose() {} }));
  } };`;

for (const isolation of ["none", "process"] as const) {
  test(`keeps nothing of a plugin that was reloaded, with isolation ${isolation}`, async (t) => {
    const folder = temporaryFolder(t);
    const manifest = { runsIn: ["node" as const], implements: [{ port: "connector", name: "kept" }] };
    writePackage(join(folder, "p"), packageFiles("kept", CODE, manifest));
    const packages = new Packages(join(folder, "store"), new Set());
    const integrity = await packages.integrityOf("path:p", folder);
    const wanted = { id: "kept", from: "path:p", integrity, isolation, addedBy: "config" } as const;
    const made: WeakRef<object>[] = [];
    const entries = (await packages.open([wanted], folder)).map((entry) => watched(entry, made));
    const { host } = hostOf(entries, folder);
    await host.start();
    try {
      const each = made.length;
      for (let count = 0; count < RELOADS; count += 1) await host.plugins.reload("kept");
      assert.equal(made.length, each * (RELOADS + 1));
      const alive = () => made.map((reference) => reference.deref() !== undefined);
      for (let turn = 0; turn < 100 && alive().slice(0, -each).includes(true); turn += 1) {
        await delay(20);
        collectGarbage();
      }
      assert.deepEqual(
        alive().slice(0, -each),
        made.slice(each).map(() => false),
      );
    } finally {
      await host.stop();
    }
  });
}

// --- internal ---

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** The same plugin; what it exports, implements and runs is added to `made`. */
function watched(entry: CatalogEntry, made: WeakRef<object>[]): CatalogEntry {
  const noted = <T>(value: T): T => {
    made.push(new WeakRef(value as object));
    return value;
  };
  const watchedHost = (host: Registrar): Registrar => ({
    ...host,
    implement: (port, name, factory) => host.implement(port, name, (resolve) => noted(factory(resolve))),
    run: (factory) => host.run((resolve) => noted(factory(resolve))),
  });
  const load = entry.service as NonNullable<CatalogEntry["service"]>;
  return {
    ...entry,
    onByDefault: true,
    service: async (afresh) => {
      const plugin: Plugin<never> = noted((await load(afresh)).default);
      return { default: { register: (host, config) => plugin.register(watchedHost(host), config) } };
    },
  };
}
