import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { projectFile } from "../fixtures/project-file.js";
import { needsPeers, requirePeer } from "../peers/require-peer.js";

const folder = mkdtempSync(join(tmpdir(), "mezite-deployment-"));
after(() => rmSync(folder, { recursive: true, force: true }));

describe("systemd units", needsPeers("systemd-analyze"), () => {
  for (const name of readdirSync(pathOf("config/systemd"))) {
    test(`${name} has no unknown word, and names programs that are there`, () => {
      const unit = readFileSync(pathOf(`config/systemd/${name}`), "utf8");
      assert.match(unit, /^ExecStart=\/usr\/local\/bin\/mezd /m);
      writeFileSync(join(folder, name), unit.replace("/usr/local/bin/mezd", process.execPath));
      const { status, stdout, stderr } = run(requirePeer("systemd-analyze"), ["verify", "--man=no", join(folder, name)]);
      assert.deepEqual([status, stdout + stderr], [0, ""]);
    });
  }

  for (const [name, most] of [
    ["mezite.service", 2],
    ["mezite-identity.service", 3],
  ] as const)
    test(`${name} may do next to nothing`, () => {
      const unit = join(folder, name);
      assert.match(readFileSync(unit, "utf8"), /^User=(?!root)\w+$/m);
      const { stdout, stderr } = run(requirePeer("systemd-analyze"), ["security", "--offline=true", "--no-pager", unit]);
      const exposure = /Overall exposure level for [\w.-]+: ([\d.]+)/.exec(stdout)?.[1];
      assert.ok(Number(exposure) <= most, stdout + stderr);
    });
});

test("the Dockerfile copies what the build needs, and ends in a user that is not root with a health check", () => {
  const text = readFileSync(pathOf("config/container/Dockerfile"), "utf8").replaceAll("\\\n", "");
  const steps = text.split("\n").filter((line) => /^[A-Z]+ /.test(line));
  const last = steps.slice(steps.findLastIndex((line) => line.startsWith("FROM ")));
  assert.match(last.findLast((line) => line.startsWith("USER ")) ?? "", /^USER [1-9]\d*:[1-9]\d*$/);
  assert.ok(last.some((line) => line.startsWith("HEALTHCHECK ") && line.endsWith('CMD ["mezd", "health"]')));
  assert.ok(last.every((line) => !/^(?:ADD|ARG) |PASS|TOKEN|SECRET/.test(line)));
  // Copied is what git has at the top, but for pages and what nobody builds with.
  const copied = steps
    .filter((line) => line.startsWith("COPY ") && !line.includes("--from="))
    .flatMap((line) => line.split(" ").slice(1, -1));
  for (const name of copied) assert.ok(existsSync(pathOf(name)), name);
  const files = JSON.parse(readFileSync(pathOf("package.json"), "utf8")).files as readonly string[];
  const shipped = new Set(files.filter((name) => !name.startsWith("!")).map((name) => name.split("/")[0] as string));
  assert.deepEqual(
    [...shipped].filter((name) => name !== "dist" && !copied.includes(name)),
    [],
  );
});

// --- internal ---

function pathOf(name: string): string {
  return fileURLToPath(projectFile(name));
}

function run(program: string, args: readonly string[]) {
  return spawnSync(program, args, { encoding: "utf8", cwd: folder });
}
