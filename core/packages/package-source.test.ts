import assert from "node:assert/strict";
import { symlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { temporaryFolder, writePackage } from "../../test/fixtures/package.js";
import { isMezError } from "../errors/error.js";
import { locateInside, locatePackage, parsePackageSource } from "./package-source.js";

for (const [text, source] of [
  ["npm:hr-sync@1.4.2", { kind: "npm", name: "hr-sync", version: "1.4.2" }],
  ["npm:@acme/mezite-hr-sync@1.4.2-beta.1", { kind: "npm", name: "@acme/mezite-hr-sync", version: "1.4.2-beta.1" }],
  ["path:hr-sync", { kind: "path", path: "hr-sync" }],
  ["path:/opt/plugins/hr sync", { kind: "path", path: "/opt/plugins/hr sync" }],
] as const) {
  test(`reads ${text}`, () => assert.deepEqual(parsePackageSource(text), source));
}

for (const text of [
  "",
  "hr-sync",
  "npm:hr-sync",
  "npm:hr-sync@",
  "npm:hr-sync@^1.4.2",
  "npm:hr-sync@latest",
  "npm:hr-sync@v1.4.2",
  "npm:../hr-sync@1.4.2",
  "npm:@acme/../x@1.4.2",
  "npm:.hidden@1.0.0",
  "path:",
  "path:a\0b",
  "https://example.com/x.tgz",
  `path:${"x".repeat(2000)}`,
]) {
  test(`refuses ${JSON.stringify(text.slice(0, 40))}`, () => {
    assert.throws(
      () => parsePackageSource(text),
      (error) => isMezError(error, "INVALID_ARGUMENT"),
    );
  });
}

test("finds npm packages in node_modules and relative paths in the folder of plugins", (t) => {
  const base = temporaryFolder(t);
  writePackage(base, { "node_modules/@acme/x/plugin.json": "{}", "near/plugin.json": "{}" });
  assert.equal(locatePackage(parsePackageSource("npm:@acme/x@1.0.0"), base), join(base, "node_modules/@acme/x"));
  assert.equal(locatePackage(parsePackageSource("path:near"), base), join(base, "near"));
  assert.throws(
    () => locatePackage(parsePackageSource("npm:gone@1.0.0"), base),
    (error) => isMezError(error, "PLUGIN_PACKAGE_REFUSED") && /npm install --prefix .* gone@1\.0\.0/.test(error.message),
  );
});

test("takes for commands what is in the folder of plugins, and says of all else the same, whether it is there or not", (t) => {
  const outer = temporaryFolder(t);
  const base = join(outer, "plugins");
  writePackage(base, { "near/plugin.json": "{}" });
  writePackage(join(outer, "secret"), { "plugin.json": "{}" });
  symlinkSync(join(outer, "secret"), join(base, "way"));
  symlinkSync(base, join(outer, "again"));
  const refusal = (path: string, from = base): string => {
    try {
      return locateInside(parsePackageSource(`path:${path}`), from);
    } catch (error) {
      assert.ok(isMezError(error, "PLUGIN_PACKAGE_REFUSED"), String(error));
      return error.message;
    }
  };
  assert.equal(refusal("near"), join(base, "near"));
  assert.equal(refusal(join(base, "near"), join(outer, "again")), join(base, "near"));
  assert.match(refusal("gone"), /^there is no package at .*: no such file or directory$/);
  for (const path of [
    "../secret",
    "../gone",
    join(outer, "secret"),
    join(outer, "gone"),
    "way",
    "way/plugin.json",
    "way/gone",
    "/etc/x",
    "near/../../gone",
  ])
    assert.equal(
      refusal(path),
      `${resolve(base, path)} is not inside ${base} (plugins_dir); commands take packages from there only`,
    );
  assert.match(refusal("near", join(outer, "gone")), /is not inside/);
});
