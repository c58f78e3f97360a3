import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { isMezError } from "../errors/error.js";
import { guardsOf, readDecisions } from "./plugin-decisions.js";

const PACKAGE = { from: "path:tape", integrity: `sha256-${"1".repeat(64)}` };

for (const [what, entry, problem] of [
  ["ports as a text", { ...PACKAGE, ports: "guard" }, '"ports" of the entry of "tape" is "guard"; write a list'],
  ["ports as a table", { ...PACKAGE, ports: { guard: true } }, '"ports" of the entry of "tape" is {"guard":true}'],
  ["no port among ports", { ...PACKAGE, ports: ["guard", 7] }, '"ports" of the entry of "tape" is ["guard",7]'],
  ["ports as nothing", { ...PACKAGE, ports: null }, '"ports" of the entry of "tape" is null'],
  [
    "an isolation that there is not",
    { ...PACKAGE, isolation: "proces" },
    '"isolation" of the entry of "tape" is "proces"; write none',
  ],
  ["memory below one MiB", { ...PACKAGE, memoryMib: 0 }, '"memoryMib" of the entry of "tape" is 0; write a whole number'],
  ["a config that is a list", { ...PACKAGE, config: [] }, '"config" of the entry of "tape" is []; write a table'],
  ["a switch as a text", { ...PACKAGE, enabled: "false" }, '"enabled" of the entry of "tape" is "false"; write true or false'],
  ["a package without a hash", { from: "path:tape" }, 'the entry of "tape" has no from or no integrity'],
  ["a text in the place of a switch", "false", '"tape" is neither true, false nor an added package'],
] as const)
  test(`plugins.json with ${what} is refused, and what is wrong is said`, (t) => {
    const folder = folderWith(t, { tape: entry });
    assert.throws(
      () => readDecisions(folder),
      (error) => isMezError(error, "DATA_DIRECTORY_UNUSABLE") && error.message.includes(`: ${problem}`),
    );
  });

test("plugins.json that is no table is refused", (t) => {
  assert.throws(() => readDecisions(folderWith(t, ["tape"])), /it is no table of plugins/);
});

test("a package that fills a port of another release counts as one that keeps people out", (t) => {
  const { added, overrides } = readDecisions(
    folderWith(t, { tape: { ...PACKAGE, ports: ["connector"] }, gate: { ...PACKAGE, ports: ["turnpike"] }, old: PACKAGE }),
  );
  assert.deepEqual(guardsOf({ added, overrides }), ["gate"]);
});

// --- internal ---

function folderWith(t: TestContext, decisions: unknown): string {
  const folder = mkdtempSync(join(tmpdir(), "mezite-decisions-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "plugins.json"), JSON.stringify(decisions));
  return folder;
}
