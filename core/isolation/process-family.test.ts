import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { eventually } from "../../test/fixtures/eventually.js";
import { ProcessFamily } from "./process-family.js";

for (const [what, isGone] of [
  ["that is ended", false],
  ["that has ended by itself", true],
] as const)
  test(`what detached itself and lost its parent goes with a process ${what}`, async (t) => {
    const family = new ProcessFamily(true);
    const { first, detached } = await parentOfDaemon(t, family);
    if (isGone) {
      first.kill("SIGKILL");
      await once(first, "exit");
    } else
      assert.ok(
        (family.residentBytes(first.pid as number) ?? 0) > (new ProcessFamily(false).residentBytes(first.pid as number) ?? 0),
      );
    family.kill(first.pid as number);
    await eventually(() => !existsSync(`/proc/${detached}`));
  });

test("another family is left alone", async (t) => {
  const { first, detached } = await parentOfDaemon(t, new ProcessFamily(true));
  new ProcessFamily(true).kill(first.pid as number);
  await eventually(() => first.signalCode !== null);
  assert.ok(existsSync(`/proc/${detached}`));
});

// --- internal ---

/** A process that has started another as daemons do: the one in between has ended. */
async function parentOfDaemon(t: TestContext, family: ProcessFamily) {
  const daemon = `const { pid } = require("node:child_process").spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { detached: true, stdio: "ignore" });
    process.stdout.write(String(pid), () => process.exit());`;
  const program = `console.log(require("node:child_process").execFileSync(process.execPath, ["-e", ${JSON.stringify(daemon)}], { encoding: "utf8" })); setInterval(() => {}, 1000)`;
  const first = spawn(process.execPath, ["-e", program], {
    env: { ...family.environment },
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  const [shown] = (await once(first.stdout, "data")) as [Buffer];
  const detached = Number(String(shown));
  t.after(() => {
    family.kill(first.pid as number);
    family.kill(detached);
  });
  assert.ok(existsSync(`/proc/${detached}`));
  return { first, detached };
}
