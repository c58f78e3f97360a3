import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { spawn } from "@lydell/node-pty";
import { pinOf } from "../../core/rpc/trust-pin.js";
import { eventually } from "../fixtures/eventually.js";
import { mshTestBed } from "./msh-test-bed.js";

const MSH = fileURLToPath(new URL("../../cli/msh.js", import.meta.url));

test("asks on the terminal whether to trust an unknown CA, then for the password, and remembers the CA", async (t) => {
  const bed = await mshTestBed(t);
  const first = await onTerminal(t, bed, [
    ["(yes/no)? ", "perhaps"],
    ['Please type "yes" or "no": ', "yes"],
    ["Password of alice", "right"],
  ]);
  assert.equal(first.code, 0, first.screen);
  assert.ok(first.screen.includes(pinOf(bed.authority.certificatePem)));
  assert.ok(!first.screen.includes("right"), "the password is not shown");
  const second = await onTerminal(t, bed, [["Password of alice", "right"]]);
  assert.equal(second.code, 0, second.screen);
  assert.doesNotMatch(second.screen, /yes\/no/);
});

test("asks for no password when the CA is not accepted", async (t) => {
  const bed = await mshTestBed(t);
  const { code, screen } = await onTerminal(t, bed, [["(yes/no)? ", "no"]]);
  assert.equal(code, 4);
  assert.match(screen, /was not accepted/);
  assert.deepEqual(bed.calls, []);
});

test("replaces a one-time password on the terminal", async (t) => {
  const bed = await mshTestBed(t);
  bed.server.oneTime = true;
  const { code, screen } = await onTerminal(t, bed, [
    ["(yes/no)? ", "yes"],
    ["Password of alice", "right"],
    ["New password: ", "a better one"],
    ["New password again: ", "a better one"],
  ]);
  assert.equal(code, 0, screen);
  assert.equal(bed.server.password, "a better one");
});

test("plays a recording that keys lead through, and leaves the terminal as it was", async (t) => {
  const bed = await mshTestBed(t);
  const file = join(bed.home, "session.cast");
  const events = [
    [0, "o", "begun "],
    [4, "o", "middle "],
    [3600, "o", "\u001b]52;c;cm0K\u0007\u001b[6nend "],
    [7200, "o", "never"],
  ];
  writeFileSync(file, `${[{ version: 2, width: 80, height: 24 }, ...events].map((line) => JSON.stringify(line)).join("\n")}\n`);
  const command = `"${process.execPath}" "${MSH}" play "${file}"; echo "code $?"; stty -a`;
  const terminal = spawn("sh", ["-c", command], { env: { ...process.env, NO_COLOR: "1" }, cols: 200, rows: 50 });
  t.after(() => terminal.kill());
  let screen = "";
  terminal.onData((data) => {
    screen += data;
  });
  await eventually(() => /q quits.*begun/s.test(screen));
  terminal.write("\x1b[C");
  await eventually(() => screen.includes("middle"));
  terminal.write(" ");
  terminal.write(".");
  await eventually(() => screen.includes("end"));
  terminal.write("q");
  await eventually(() => /code 0.*[^-]icanon/s.test(screen));
  assert.ok(!screen.includes("never"));
  assert.ok(!screen.includes("\x1b]52") && !screen.includes("\x1b[6n"), "nothing reaches the clipboard or asks the terminal");
});

// --- internal ---

/** Runs `msh login` on a pseudo-terminal and types each answer when its question has been printed. */
function onTerminal(
  t: TestContext,
  bed: { readonly address: string; readonly home: string },
  answers: readonly (readonly [question: string, answer: string])[],
): Promise<{ readonly code: number; readonly screen: string }> {
  const env = { ...process.env, HOME: bed.home, MEZITE_DATA_DIR: join(bed.home, "nothing"), NO_COLOR: "1" };
  const terminal = spawn(process.execPath, [MSH, "login", "--user=alice", `--auth-server=${bed.address}`], {
    env,
    cols: 200,
    rows: 50,
  });
  const open = [...answers];
  let screen = "";
  let unread = "";
  t.after(() => {
    try {
      terminal.kill("SIGKILL");
    } catch {
      // It has ended.
    }
  });
  terminal.onData((data) => {
    screen += data;
    unread += data;
    const next = open[0];
    if (next === undefined || !unread.includes(next[0])) return;
    unread = "";
    open.shift();
    terminal.write(`${next[1]}\r`);
  });
  return new Promise((resolve) => {
    terminal.onExit(({ exitCode }) => resolve({ code: exitCode, screen }));
  });
}
