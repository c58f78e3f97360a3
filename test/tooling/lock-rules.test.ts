import assert from "node:assert/strict";
import { test } from "node:test";
import { checkLockFile } from "./lock-rules.js";

const tool = { version: "1.0.0", optionalDependencies: { "tool-linux": "1.0.0", "tool-darwin": "1.0.0" } };

test("refuses a lock file that lacks a package for another platform", () => {
  const packages = { "": {}, "node_modules/tool": tool, "node_modules/tool-linux": {} };
  const [finding, ...others] = checkLockFile(JSON.stringify({ packages }));
  assert.match(finding?.message ?? "nothing found", /lacks tool-darwin, an optional dependency of node_modules\/tool/);
  assert.deepEqual(others, []);
});

test("finds optional packages inside, beside and above the one that wants them", () => {
  const packages = {
    "": { optionalDependencies: { own: "1.0.0" } },
    "node_modules/own": {},
    "node_modules/outer/node_modules/tool": tool,
    "node_modules/outer/node_modules/tool/node_modules/tool-linux": {},
    "node_modules/tool-darwin": {},
  };
  assert.deepEqual(checkLockFile(JSON.stringify({ packages })), []);
});
