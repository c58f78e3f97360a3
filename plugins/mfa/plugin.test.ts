import assert from "node:assert/strict";
import test from "node:test";
import { collectDeclarations } from "../../core/host/declarations.js";
import type { Plugin, ProcessRole } from "../../core/plugin/contract.js";
import type { Manifest } from "../../core/plugin/manifest.js";
import mfa from "./plugin.js";
import manifest from "./plugin.json" with { type: "json" };

const DEFAULTS = Object.fromEntries(Object.entries(manifest.config.properties).map(([key, schema]) => [key, schema.default]));

for (const roles of [["auth"], ["proxy"], ["auth", "proxy"]] as readonly (readonly ProcessRole[])[]) {
  test(`registers what its manifest says, as ${roles.join(", ")}`, () => {
    const described = manifest as unknown as Manifest;
    assert.doesNotThrow(() => collectDeclarations(mfa as Plugin<never>, described, new Set(roles), DEFAULTS));
  });
}

test("refuses a web address that is none", () => {
  const config = { ...DEFAULTS, web_address: "http://example.com/x" };
  assert.throws(() => collectDeclarations(mfa as Plugin<never>, manifest as unknown as Manifest, new Set(["auth"]), config));
});
