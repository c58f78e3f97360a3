import assert from "node:assert/strict";
import { test } from "node:test";
import { TerminalText } from "./terminal-text.js";

for (const [what, output, text] of [
  ["lines", "a\r\nb\nc", "a\nb\nc"],
  ["colours", "\x1b[1;31mrm\x1b[0m -rf\x1b[K", "rm -rf"],
  ["titles, whichever way they end", "\x1b]0;alice@web\x07$ \x1b]2;x\x1b\\ls", "$ ls"],
  ["a device control string", "\x1bP+q544e\x1b\\ok", "ok"],
  ["character sets and modes", "\x1b(B\x1b=\x1b[?2004hls\x1b[?2004l", "ls"],
  ["what was rubbed out", "sl\b \b\b \bls\r\n", "ls\n"],
  ["what was rubbed out to the end of the line", "sudp\b\x1b[Ko", "sudo"],
  ["something put in the middle", "cat x\b\bX x\b", "catX x"],
  ["a letter taken out of the middle", "caat\b\b\x1b[P", "cat"],
  ["the cursor going left and right", "abc\x1b[2D\x1b[CX", "abX"],
  ["a line that a carriage return goes back over", "10%\r20%\r\n", "10%\n20%\n"],
  ["words at places of the screen", "\x1b[2J\x1b[1;1Hname\x1b[5;10Hvalue", "name\nvalue"],
  ["words side by side", "one\x1b[Ctwo", "one two"],
  ["tabs and bells", "a\tb\x07", "a\tb"],
  ["characters of other scripts", "größe 😀\r\n", "größe 😀\n"],
  ["sequences without an end", "ok\x1b[12", "ok"],
] as const) {
  test(`makes text of ${what}, however it is cut`, () => {
    for (let size = 1; size <= output.length; size += 1) {
      const terminal = new TerminalText();
      let found = "";
      for (let at = 0; at < output.length; at += size) found += terminal.add(output.slice(at, at + size));
      assert.equal(found + terminal.end(), text, `in pieces of ${size}`);
    }
  });
}

test("does not wait for ever for the end of a sequence, and never holds a line without end", () => {
  const terminal = new TerminalText();
  let held = 0;
  for (let turn = 0; turn < 100; turn += 1) held += terminal.add(turn === 0 ? "\x1b]0;" : "x".repeat(4096)).length;
  assert.ok(held > 200_000);
});
