import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder, writePackage } from "../../test/fixtures/package.js";
import { isMezError } from "../errors/error.js";
import { locatePackage, parsePackageSource } from "./package-source.js";

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
