import assert from "node:assert/strict";
import { test } from "node:test";
import { spawn } from "@lydell/node-pty";

const PROGRAM = `
  const { main } = await import(${JSON.stringify(new URL("./program.js", import.meta.url).href)});
  const { exampleProgram } = await import(${JSON.stringify(new URL("../../test/fixtures/example-program.js", import.meta.url).href)});
  const program = exampleProgram();
  process.on("exit", () => process.stdout.write("CALLS " + JSON.stringify(program.calls.map((call) => call.input)) + "\\n"));
  await main(program);`;

/** Runs `users create alice` on a real terminal and types a line at each prompt. */
function atTerminal(lines: readonly string[]): Promise<{ code: number; shown: string }> {
  return new Promise((resolve) => {
    const terminal = spawn(process.execPath, ["--input-type=module", "-e", PROGRAM, "mezctl", "users", "create", "alice"], {
      cols: 200,
    });
    let shown = "";
    let typed = 0;
    terminal.onData((text) => {
      shown += text;
      while (typed < lines.length && (shown.match(/assword[^\r\n]*: /g) ?? []).length > typed) terminal.write(lines[typed++]!);
    });
    terminal.onExit(({ exitCode }) => resolve({ code: exitCode, shown }));
  });
}

test("asks twice and never shows what is typed", async () => {
  const { code, shown } = await atTerminal(["s3crex\u007ft\r", "wrong\u0015s3cret\r"]);
  assert.equal(code, 0);
  assert.match(shown, /Password: \r\nPassword again: \r\n/);
  assert.match(shown, /CALLS \[\{"username":"alice","password":"s3cret"\}\]/);
});

test("refuses two entries that differ, and an empty one", async () => {
  const different = await atTerminal(["one\r", "two\r"]);
  assert.deepEqual([different.code, /the two entries for password differ/.test(different.shown)], [2, true]);
  const empty = await atTerminal(["\r"]);
  assert.deepEqual([empty.code, /password is empty/.test(empty.shown)], [2, true]);
});

test("gives up on Ctrl-C with 130 and leaves the command alone", async () => {
  const { code, shown } = await atTerminal(["half\u0003"]);
  assert.equal(code, 130);
  assert.match(shown, /CALLS \[\]/);
  assert.doesNotMatch(shown, /half/);
});
