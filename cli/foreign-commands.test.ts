import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../test/fixtures/package.js";
import { mayKnowForeignCommands } from "./foreign-commands.js";

test("help reads of other commands only where there is something to read", (t) => {
  const [none, local, described] = [temporaryFolder(t), temporaryFolder(t), temporaryFolder(t)];
  writeFileSync(join(local, "mezctl.yaml"), "{}");
  mkdirSync(join(described, "plugins"));
  assert.deepEqual([none, local, described, join(none, "absent")].map(mayKnowForeignCommands), [false, true, true, false]);
});
