import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "../fixtures/package.js";
import { projectFile } from "../fixtures/project-file.js";

test("an auth service of its own has more room for young objects than what holds long connections", (t) => {
  const teller = join(temporaryFolder(t), "tell.cjs");
  writeFileSync(teller, "console.log(...process.execArgv.filter((flag) => /^--[a-z0-9-]+(?:=\\d+)?$/.test(flag)));");
  const flagsOf = (command: string): string => {
    const env = { ...process.env, NODE_OPTIONS: `--require=${teller}` };
    const { stdout } = spawnSync(fileURLToPath(projectFile("cli/bin/mezd")), [command, "--help"], { env, encoding: "utf8" });
    return stdout.split("\n", 1)[0] ?? "";
  };
  for (const command of ["start", "proxy", "node"]) {
    const flags = flagsOf(command);
    assert.match(flags, /^--max-semi-space-size=4 --heap-growing-percent=30 --disable-sigusr1 /, command);
    assert.doesNotMatch(flags, /semi-space.*semi-space/, command);
  }
  assert.match(
    flagsOf("auth"),
    /^--max-semi-space-size=4 .*--max-semi-space-size=16 --heap-growing-percent=100 /,
    "the last one counts",
  );
});
