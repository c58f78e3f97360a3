import assert from "node:assert/strict";
import { test } from "node:test";
import { manifestOf } from "../../test/fixtures/plugins.js";
import type { ErrorCode } from "../errors/codes.js";
import { isMezError } from "../errors/error.js";
import type { PackageInfo } from "../plugin/plugin-host.js";
import { refuseClearSecrets, withIntegrity, withoutPackage, withPackage } from "./added-packages.js";
import type { Catalog } from "./catalog.js";
import type { PluginDecisions } from "./plugin-decisions.js";

const [ONE, TWO] = [`sha256-${"1".repeat(64)}`, `sha256-${"2".repeat(64)}`];
const origin = (addedBy: PackageInfo["addedBy"]): PackageInfo => ({
  from: "path:x",
  integrity: ONE,
  isolation: "none",
  memoryMib: 256,
  addedBy,
});
const CATALOG: Catalog = new Map([
  ["locks", { manifest: manifestOf("locks") }],
  ["users", { manifest: manifestOf("users", { essential: true }) }],
  ["storage.other", { manifest: manifestOf("storage.other", { implements: [{ port: "storage-driver", name: "other" }] }) }],
  ["filed", { manifest: manifestOf("filed"), package: origin("config") }],
  ["added", { manifest: manifestOf("added"), package: origin("command") }],
]);
const BEFORE: PluginDecisions = {
  overrides: new Map([
    ["recordings", false],
    ["added", false],
  ]),
  added: new Map([["added", { from: "path:x", integrity: ONE, config: { a: 1 } }]]),
};
const FILE = "/etc/mezite/mezite.yaml";
const identity = (id: string, integrity = TWO) => ({ id, version: "1.0.0", integrity, ports: ["guard"] });

test("adds a package with the hash that it has, and switches it on", () => {
  const { overrides, added } = withPackage(BEFORE, identity("new"), { from: "path:new", isolation: "process" }, CATALOG, FILE);
  assert.deepEqual([...overrides], [...BEFORE.overrides, ["new", true]]);
  assert.deepEqual(added.get("new"), {
    from: "path:new",
    integrity: TWO,
    isolation: "process",
    memoryMib: undefined,
    config: undefined,
    ports: ["guard"],
  });
});

test("replaces a package that was added, with its config", () => {
  const { overrides, added } = withPackage(BEFORE, identity("added"), { from: "path:y" }, CATALOG, FILE);
  assert.equal(overrides.get("added"), true);
  assert.equal(added.get("added")?.config, undefined);
});

test("pins another hash, and leaves the rest as it is", () => {
  const { overrides, added } = withIntegrity(BEFORE, identity("added"), CATALOG, FILE);
  assert.equal(overrides.get("added"), false);
  assert.deepEqual(added.get("added"), { from: "path:x", integrity: TWO, config: { a: 1 }, ports: ["guard"] });
});

test("takes a package out with what was said of it", () => {
  const { overrides, added } = withoutPackage(BEFORE, "added", CATALOG, FILE);
  assert.deepEqual([...overrides], [["recordings", false]]);
  assert.equal(added.size, 0);
});

const REFUSED: readonly (readonly [what: string, work: () => unknown, code: ErrorCode, message: RegExp])[] = [
  [
    "another package than the one asked for",
    () => withPackage(BEFORE, identity("new"), { from: "path:new", integrity: ONE }, CATALOG, FILE),
    "PLUGIN_INTEGRITY_FAILED",
    /has integrity sha256-2{64}, not sha256-1{64}/,
  ],
  [
    "the id of a plugin of the build",
    () => withPackage(BEFORE, identity("locks"), { from: "path:x" }, CATALOG, FILE),
    "ALREADY_EXISTS",
    /part of this build/,
  ],
  [
    "to add what the config file names",
    () => withPackage(BEFORE, identity("filed"), { from: "path:x" }, CATALOG, FILE),
    "ALREADY_EXISTS",
    /is in \/etc\/mezite\/mezite\.yaml/,
  ],
  [
    "to pin what the config file names",
    () => withIntegrity(BEFORE, identity("filed"), CATALOG, FILE),
    "CONFLICT",
    /write integrity: sha256-2{64} there/,
  ],
  [
    "to take out what the config file names",
    () => withoutPackage(BEFORE, "filed", CATALOG, null),
    "CONFLICT",
    /is in the config file/,
  ],
  [
    "to take out a plugin of the build",
    () => withoutPackage(BEFORE, "locks", CATALOG, FILE),
    "CONFLICT",
    /mezctl plugins disable locks/,
  ],
  [
    "to take out what every cluster needs",
    () => withoutPackage(BEFORE, "users", CATALOG, FILE),
    "CONFLICT",
    /"users" is part of every cluster and is always on/,
  ],
  [
    "to take out a storage driver of the build",
    () => withoutPackage(BEFORE, "storage.other", CATALOG, FILE),
    "CONFLICT",
    /goes with database.driver/,
  ],
  [
    "a secret in clear text",
    () => refuseClearSecrets(manifestOf("x", { secrets: ["/inner/pin"] }), { inner: { pin: "1234" } }),
    "CONFIG_INVALID",
    /inner\.pin of plugin "x" is a secret; write it as file:<path> or env:<NAME>/,
  ],
];

for (const [what, work, code, message] of REFUSED) {
  test(`refuses ${what}`, () => {
    assert.throws(work, (error) => isMezError(error, code) && message.test(error.message));
  });
}

test("takes secrets that are references, and those that are not there", () => {
  refuseClearSecrets(manifestOf("x", { secrets: ["/a", "/b/c", "/__proto__/d"] }), { a: "file:/etc/pin", b: null });
  refuseClearSecrets(manifestOf("x", { secrets: ["/a"] }));
});
