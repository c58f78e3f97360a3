import assert from "node:assert/strict";
import test from "node:test";
import { collectDeclarations } from "../../core/host/declarations.js";
import type { Plugin, ProcessRole } from "../../core/plugin/contract.js";
import type { Manifest } from "../../core/plugin/manifest.js";
import roles from "../roles/plugin.js";
import rolesManifest from "../roles/plugin.json" with { type: "json" };
import users from "../users/plugin.js";
import usersManifest from "../users/plugin.json" with { type: "json" };
import authentication from "./plugin.js";
import manifest from "./plugin.json" with { type: "json" };

const DEFAULTS = Object.fromEntries(Object.entries(manifest.config.properties).map(([key, schema]) => [key, schema.default]));

const CASES: readonly (readonly [manifest: unknown, plugin: unknown, config: unknown, roles: readonly ProcessRole[]])[] = [
  [manifest, authentication, DEFAULTS, ["auth"]],
  [usersManifest, users, {}, ["auth"]],
  [rolesManifest, roles, {}, ["auth"]],
  [rolesManifest, roles, {}, ["proxy"]],
  [rolesManifest, roles, {}, ["node"]],
  [rolesManifest, roles, {}, ["auth", "proxy", "node"]],
];

for (const [described, plugin, config, processRoles] of CASES) {
  test(`${(described as Manifest).id} registers what its manifest says, as ${processRoles.join(", ")}`, () => {
    assert.doesNotThrow(() => collectDeclarations(plugin as Plugin<never>, described as Manifest, new Set(processRoles), config));
  });
}
