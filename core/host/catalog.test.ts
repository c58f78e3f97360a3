import assert from "node:assert/strict";
import { test } from "node:test";
import { manifestOf } from "../../test/fixtures/plugins.js";
import { projectFile } from "../../test/fixtures/project-file.js";
import { isMezError } from "../errors/error.js";
import { makeCatalog } from "./catalog.js";

const SCHEMA = projectFile("plugin.schema.json");
const catalogOf = (...manifests: readonly unknown[]) =>
  makeCatalog(
    manifests.map((manifest) => ({ manifest })),
    "0.1.0",
    SCHEMA,
  );
const command = { name: "greet", binary: "mezctl", summary: "Greet" } as const;

test("knows plugins by id, in the order of the list", () => {
  assert.deepEqual([...catalogOf(manifestOf("b"), manifestOf("a")).keys()], ["b", "a"]);
});

const REFUSED: readonly (readonly [name: string, manifests: readonly unknown[], message: RegExp])[] = [
  [
    "an unknown key",
    [{ ...manifestOf("a"), colour: "red" }],
    /plugin "a": in its manifest: unknown key "colour"; known are \$schema, id,/,
  ],
  ["a key that is misspelt", [{ ...manifestOf("a"), require: [] }], /unknown key "require"; did you mean "requires"\?/],
  ["no object at all", [null], /plugin "\?": in its manifest: the manifest has to be a mapping, not empty/],
  ["a bad id", [manifestOf("Not An Id")], /in its manifest: id is "Not An Id", which is not valid; /],
  ["another API version", [manifestOf("a", { apiVersion: 2 })], /apiVersion/],
  ["a host range that this release is not in", [manifestOf("a", { host: "^7.0.0" })], /asks for mezite \^7.0.0; this is 0.1.0/],
  [
    "a path out of the plugin's folder",
    [manifestOf("a", { entries: { service: "./../../etc/passwd" } })],
    /entries\.service is "\.\/\.\.\//,
  ],
  ["a service entry that runs nowhere", [manifestOf("a", { runsIn: undefined })], /no runsIn/],
  ["one id twice", [manifestOf("a"), manifestOf("a")], /id "a" is taken by plugin "a"/],
  [
    "one command twice",
    [manifestOf("a", { contributes: { commands: [command] } }), manifestOf("b", { contributes: { commands: [command] } })],
    /command "mezctl greet" is taken by plugin "a"/,
  ],
  ...(["tables", "collections"] as const).map(
    (what) =>
      [
        `one of ${what} twice`,
        [manifestOf("a", { contributes: { [what]: ["things"] } }), manifestOf("b", { contributes: { [what]: ["things"] } })],
        new RegExp(`plugin "b": ${what.slice(0, -1)} "things" is taken by plugin "a"`),
      ] as const,
  ),
  ...["outbox", "outbox_head", "cluster_servers", "cluster_duties", "database_moves", "migrations_core"].map(
    (table) =>
      [
        `the core's table ${table}`,
        [manifestOf("a", { contributes: { tables: [table] } })],
        new RegExp(`table "${table}" is taken by plugin "core"`),
      ] as const,
  ),
  [
    "two ids with one history of migrations",
    [manifestOf("a.b", { contributes: { tables: ["x"] } }), manifestOf("a-b", { contributes: { tables: ["y"] } })],
    /plugin "a-b": table "migrations_a_b" is taken by plugin "a\.b"/,
  ],
  [
    "one permission twice",
    ["a", "b"].map((id) => manifestOf(id, { contributes: { permissions: [{ permission: "thing:list", grantedTo: [] }] } })),
    /permission "thing:list" is taken by plugin "a"/,
  ],
];

test("lets plugins of the build share an audit event, and a package take none of theirs", () => {
  const [a, b] = ["a", "b"].map((id) => manifestOf(id, { contributes: { auditEvents: ["thing.happened"] } }));
  catalogOf(a, b);
  const origin = { from: "path:b", integrity: "", isolation: "none", memoryMib: 256, addedBy: "config" } as const;
  assert.throws(
    () => makeCatalog([{ manifest: a }, { manifest: b, package: origin }], "0.1.0", SCHEMA),
    (error) =>
      isMezError(error, "PLUGIN_MANIFEST_INVALID") && /audit event "thing\.happened" is taken by plugin "a"/.test(error.message),
  );
});

for (const [name, manifests, message] of REFUSED) {
  test(`refuses ${name}`, () => {
    assert.throws(
      () => catalogOf(...manifests),
      (error) => isMezError(error, "PLUGIN_MANIFEST_INVALID") && message.test(error.message),
    );
  });
}
