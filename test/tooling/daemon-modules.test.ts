import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { projectFile } from "../fixtures/project-file.js";

for (const [daemon, modules] of [
  [
    "auth, proxy and node",
    ["daemons/run.js", "plugins/nodes/plugin.js", "plugins/ssh-node/plugin.js", "plugins/ssh-proxy/plugin.js"],
  ],
  ["identity", ["daemons/identity/start-identity.js"]],
] as const)
  test(`mezd ${daemon} does not load Node's own fetch, which an import of node:http brings along`, () => {
    const imports = modules.map((path) => `await import(${JSON.stringify(projectFile(`dist/${path}`).href)});`).join("");
    const script = `${imports} process.stdout.write(process.moduleLoadList.filter((name) => name.includes("undici")).join());process.exit();`;
    const metadata = fileURLToPath(import.meta.resolve("reflect-metadata"));
    const loaded = execFileSync(process.execPath, ["--import", metadata, "--input-type=module", "-e", script], {
      encoding: "utf8",
    });
    assert.equal(loaded, "");
  });
