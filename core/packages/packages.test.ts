import assert from "node:assert/strict";
import { chmodSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type PackageFiles, packageFiles, QUIET_PLUGIN, temporaryFolder, writePackage } from "../../test/fixtures/package.js";
import { type ErrorCode } from "../errors/codes.js";
import { isMezError } from "../errors/error.js";
import { AT_START } from "../host/package-leniency.js";
import type { Plugin } from "../plugin/contract.js";
import type { Manifest } from "../plugin/manifest.js";
import { MAX_MODULE_LOADS } from "./package-loader.js";
import { hashOf } from "./package-store.js";
import { Packages } from "./packages.js";

interface Bed {
  readonly base: string;
  readonly packages: Packages;
  /** Writes the package `x`, opens it with the hash that it has, and imports it. */
  load(files: PackageFiles, afresh?: boolean): Promise<unknown>;
}

function bedOf(t: TestContext): Bed {
  const base = realpathSync(temporaryFolder(t));
  const packages = new Packages(join(base, "store"), new Set(["locks"]));
  return {
    base,
    packages,
    load: async (files, afresh) => {
      rmSync(join(base, "x"), { recursive: true, force: true });
      writePackage(join(base, "x"), files);
      const [entry] = await packages.open([await wanted(base)], base);
      return (await entry?.service?.(afresh))?.default;
    },
  };
}

/** What a plugin implements. */
function made(plugin: unknown): unknown {
  let value: unknown;
  const implement = (_port: unknown, _name: string, factory: () => unknown): void => {
    value = factory();
  };
  const host = { run() {}, implement };
  (plugin as Plugin<never>).register(host as never, {} as never);
  return value;
}

async function wanted(base: string, id = "x") {
  return { id, from: "path:x", integrity: `sha256-${await hashOf(join(base, "x"))}`, addedBy: "config" as const };
}

const REFUSED: readonly (readonly [what: string, files: PackageFiles, code: ErrorCode, message: RegExp])[] = [
  ["no manifest", { "plugin.cjs": "" }, "PLUGIN_MANIFEST_INVALID", /plugin "x": plugin\.json of the package cannot be read/],
  ["a manifest that is no JSON", { "plugin.json": "{" }, "PLUGIN_MANIFEST_INVALID", /cannot be read/],
  [
    "a manifest of another plugin",
    packageFiles("y"),
    "PLUGIN_MANIFEST_INVALID",
    /the manifest of the package is that of plugin "y"/,
  ],
  [
    "an essential plugin",
    packageFiles("x", QUIET_PLUGIN, { essential: true }),
    "PLUGIN_MANIFEST_INVALID",
    /only plugins of the build/,
  ],
  [
    "a section of its own",
    packageFiles("x", QUIET_PLUGIN, { section: "auth" }),
    "PLUGIN_MANIFEST_INVALID",
    /section of the config file/,
  ],
  [
    "an entry that is not there",
    packageFiles("x", QUIET_PLUGIN, { entries: { service: "./gone.js" } }),
    "PLUGIN_MANIFEST_INVALID",
    /has no file \.\/gone\.js/,
  ],
  ["an open config", packageFiles("x", QUIET_PLUGIN, { config: { type: "object" } }), "PLUGIN_MANIFEST_INVALID", /closed schema/],
  [
    "a config that is no schema",
    packageFiles("x", QUIET_PLUGIN, {
      config: { type: "object", additionalProperties: false, properties: { a: { type: "rope" } } },
    }),
    "PLUGIN_MANIFEST_INVALID",
    /config is no JSON Schema/,
  ],
  [
    "a config with a format that nobody checks",
    packageFiles("x", QUIET_PLUGIN, {
      config: {
        type: "object",
        additionalProperties: false,
        properties: { list: { type: "array", items: { type: "string", format: "email" } } },
      },
    }),
    "PLUGIN_MANIFEST_INVALID",
    /^plugin "x": config has the format "email" at properties\/list\/items; use "duration", which is the only one, or a pattern$/,
  ],
  [
    "a secret that is no config value",
    packageFiles("x", QUIET_PLUGIN, { secrets: ["/__proto__/a"] }),
    "PLUGIN_MANIFEST_INVALID",
    /secrets names \/__proto__\/a/,
  ],
];

for (const [what, files, code, message] of REFUSED) {
  test(`refuses a package with ${what}`, async (t) => {
    await assert.rejects(bedOf(t).load(files), (error) => isMezError(error, code) && message.test(error.message));
  });
}

test("refuses the id of a plugin of the build", async (t) => {
  const { base, packages } = bedOf(t);
  writePackage(join(base, "x"), packageFiles("locks"));
  await assert.rejects(
    packages.open([await wanted(base, "locks")], base),
    (error) => isMezError(error, "PLUGIN_PACKAGE_REFUSED") && /"locks" is part of this build/.test(error.message),
  );
});

test("refuses an npm package of another version than the config names", async (t) => {
  const { base, packages } = bedOf(t);
  const folder = writePackage(join(base, "node_modules/acme"), {
    ...packageFiles("x"),
    "package.json": { name: "acme", version: "1.0.1" },
  });
  const integrity = `sha256-${await hashOf(folder)}`;
  const open = (from: string) => packages.open([{ id: "x", from, integrity, addedBy: "config" }], base);
  await assert.rejects(
    open("npm:acme@1.0.0"),
    (error) => isMezError(error, "PLUGIN_MANIFEST_INVALID") && /acme@1\.0\.1, not acme@1\.0\.0/.test(error.message),
  );
  assert.equal((await open("npm:acme@1.0.1")).length, 1);
});

test("takes from a command only what lies in the folder of plugins", async (t) => {
  const { base, packages } = bedOf(t);
  writePackage(join(base, "x"), packageFiles("x"));
  writePackage(join(base, "plugins/empty"), {});
  const added = { ...(await wanted(base)), from: `path:${join(base, "x")}`, addedBy: "command" as const };
  await assert.rejects(packages.open([added], join(base, "node_modules-of-nobody")), (error) =>
    isMezError(error, "PLUGIN_PACKAGE_REFUSED"),
  );
  assert.equal((await packages.open([added], base)).length, 1);
});

test("runs the bytes that were checked, not those that came after", async (t) => {
  const { base, packages } = bedOf(t);
  writePackage(join(base, "x"), packageFiles("x"));
  const [entry] = await packages.open([await wanted(base)], base);
  writeFileSync(join(base, "x/plugin.cjs"), "throw new Error('these bytes were not checked')");
  assert.equal(typeof (await entry?.service?.())?.default.register, "function");
});

test("evaluates CommonJS again when it is told to, and not otherwise", async (t) => {
  const { load } = bedOf(t);
  const files = packageFiles(
    "x",
    `const inner = require("./inner.cjs"); module.exports = { register(host) { host.implement({ id: "x" }, "x", () => inner); } };`,
  );
  const all = { ...files, "inner.cjs": "module.exports = {};" };
  const first = await load(all);
  assert.equal(await load(all), first);
  const again = await load(all, true);
  assert.notEqual(again, first);
  assert.notEqual(made(again), made(first));
});

test("evaluates ES modules once for each version, and counts those", async (t) => {
  const { load } = bedOf(t);
  const version = (number: number) => ({
    ...packageFiles("x", QUIET_PLUGIN, { entries: { service: "./plugin.js" } }),
    "package.json": { type: "module" },
    "plugin.js": `export default { register(host) { host.implement({ id: "x" }, "x", () => ${number}); } };`,
  });
  const first = await load(version(0));
  assert.equal(await load(version(0), true), first);
  for (let number = 1; number < MAX_MODULE_LOADS; number += 1) assert.equal(made(await load(version(number))), number);
  await assert.rejects(
    load(version(99)),
    (error) => isMezError(error, "PLUGIN_NEEDS_RESTART") && /restart mezd/.test(error.message),
  );
  assert.equal(made(await load(version(3))), 3);
});

test("gives plugins what the host shares, modules of Node and their own files, and nothing else", async (t) => {
  const { load, base } = bedOf(t);
  writePackage(base, { "node_modules/outside/index.js": "", "beside.cjs": "" });
  const own = {
    "node_modules/inside/index.js": "exports.name = 'inside';",
    "node_modules/inside/package.json": { name: "inside" },
  };
  const good = `require("node:path"); require("@mikro-orm/core"); require("mezite/package.json"); ${QUIET_PLUGIN}exports.name = require("inside").name;`;
  assert.ok(await load({ ...packageFiles("x", good), ...own }));
  for (const wrong of ["outside", "../../../beside.cjs", "ssh2", join(base, "beside.cjs")]) {
    for (const statement of [`require(${JSON.stringify(wrong)});${QUIET_PLUGIN}`]) {
      await assert.rejects(load(packageFiles("x", statement)), (error) => {
        assert.ok(isMezError(error, "PLUGIN_PACKAGE_REFUSED"), String(error));
        assert.match(error.message, /plugin "x" imports ".*", which its package does not hold/);
        return true;
      });
    }
    const module = {
      ...packageFiles("x", "", { entries: { service: "./plugin.mjs" } }),
      "plugin.mjs": `import ${JSON.stringify(wrong)}; export default { register() {} };`,
    };
    await assert.rejects(load(module), (error) => isMezError(error, "PLUGIN_PACKAGE_REFUSED"), wrong);
  }
});

test("refuses an entry without a plugin as default export", async (t) => {
  await assert.rejects(bedOf(t).load(packageFiles("x", "module.exports = {};")), (error) =>
    isMezError(error, "PLUGIN_REGISTER_FAILED"),
  );
});

test("takes what a command added from its copy when something else lies there, and never what nobody decided on", async (t) => {
  const { base, packages } = bedOf(t);
  writePackage(join(base, "x"), packageFiles("x"));
  const added = { ...(await wanted(base)), addedBy: "command" as const };
  await packages.open([added], base);
  writePackage(join(base, "x"), packageFiles("x", QUIET_PLUGIN, { version: "2.0.0" }));
  await assert.rejects(packages.open([added], base), (error) => isMezError(error, "PLUGIN_INTEGRITY_FAILED"));
  const named = { ...added, addedBy: "config" as const };
  await assert.rejects(packages.openWith(AT_START, [named], base), (error) => isMezError(error, "PLUGIN_INTEGRITY_FAILED"));
  const { entries, absent } = await packages.openWith(AT_START, [added], base);
  assert.deepEqual([(entries[0]?.manifest as Manifest | undefined)?.version, absent], ["1.0.0", []]);
  assert.match(entries[0]?.package?.problem ?? "", /has integrity/);

  const copy = join(base, "store/x", added.integrity.slice("sha256-".length), "plugin.cjs");
  chmodSync(copy, 0o600);
  writeFileSync(copy, "throw new Error('not this one')");
  const without = await packages.openWith(AT_START, [added], base);
  assert.deepEqual([without.entries.length, without.absent.map(({ id }) => id)], [0, ["x"]], "the copy is not whole");
});

test("does without a package that is gone, but not without one that keeps people out", async (t) => {
  const { base, packages } = bedOf(t);
  const added = { id: "x", from: "path:x", integrity: `sha256-${"0".repeat(64)}`, addedBy: "command" as const };
  assert.match((await packages.openWith(AT_START, [added], base)).absent[0]?.problem ?? "", /there is no package at/);
  writePackage(join(base, "x"), packageFiles("x", QUIET_PLUGIN, { implements: [{ port: "guard", name: "x" }] }));
  await assert.rejects(
    packages.openWith(AT_START, [added], base),
    (error) => isMezError(error, "PLUGIN_INTEGRITY_FAILED") && /more people would be let in/.test(error.message),
  );
});

test("does not do without a package of which was noted that it keeps people out, though nothing of it is left", async (t) => {
  const { base, packages } = bedOf(t);
  const gone = { id: "x", from: "path:x", integrity: `sha256-${"0".repeat(64)}`, addedBy: "command" as const };
  for (const port of ["guard", "login-step", "authorizer"])
    await assert.rejects(
      packages.openWith(AT_START, [{ ...gone, ports: [port] }], base),
      (error) => isMezError(error) && /there is no package at .*: put the package back, or write "x": false/.test(error.message),
      port,
    );
  for (const harmless of [{ ports: ["audit-forwarder"] }, { ports: ["guard"], isOff: true }]) {
    const { absent } = await packages.openWith(AT_START, [{ ...gone, ...harmless }], base);
    assert.deepEqual(
      absent.map(({ id }) => id),
      ["x"],
    );
  }
});
