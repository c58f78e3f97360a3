import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "../fixtures/package.js";
import { projectFile } from "../fixtures/project-file.js";

for (const [what, mode, expected] of [
  ["is used when only this user can write there", 0o755, true],
  ["is not used when others can write there", 0o777, false],
  ["is made when there is none", null, true],
] as const)
  test(`the folder of compiled code ${what}`, (t) => {
    const root = temporaryFolder(t);
    mkdirSync(join(root, "cli/bin"), { recursive: true });
    const script = join(root, "cli/bin/compile-cache.cjs");
    copyFileSync(fileURLToPath(projectFile("cli/bin/compile-cache.cjs")), script);
    const folder = join(root, "node_modules/.cache/mezite");
    if (mode !== null) {
      mkdirSync(folder, { recursive: true });
      chmodSync(folder, mode);
    }
    const { NODE_COMPILE_CACHE: _none, ...env } = process.env;
    const ask = "process.stdout.write(String(require('node:module').getCompileCacheDir()))";
    const used = execFileSync(process.execPath, ["--require", script, "-e", ask], { env, encoding: "utf8" });
    assert.equal(used.startsWith(folder), expected, used);
  });
