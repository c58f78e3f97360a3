import assert from "node:assert/strict";
import { test } from "node:test";
import { HarmlessOutput } from "./harmless-output.js";

for (const [what, text] of [
  ["text in several scripts", "plain, grün, 日本\r\n\t"],
  ["colours and cursor movements", "\x1b[1;31mred\x1b[0m\x1b[2;5H\x1b[2J\x1b[?25l"],
  ["the other screen and scroll regions", "\x1b[?1049h\x1b[3;9r\x1b7\x1b8\x1bM\x1b(B"],
  ["the shape of the cursor", "\x1b[2 q"],
  ["a title, ended in either way", "\x1b]0;vi\x07\x1b]2;top\x1b\\"],
  ["a link", "\x1b]8;;https://example.com\x1b\\here\x1b]8;;\x1b\\"],
] as const) {
  test(`lets through ${what}`, () => assert.equal(new HarmlessOutput().pass(text), text));
}

const HARMFUL = [
  ["a question for the position of the cursor", "\x1b[6n"],
  ["a question for the kind of terminal", "\x1b[c\x1b[>0c\x1bZ\x1b[>q\x1b[0x"],
  ["a question for a mode", "\x1b[?2004$p"],
  ["a new size of the window, and a question for its title", "\x1b[8;200;200t\x1b[21t"],
  ["something for the clipboard", "\x1b]52;c;cm0gLXJmIH4=\x07"],
  ["a question for a colour", "\x1b]11;?\x1b\\"],
  ["a download", "\x1b]1337;File=name=eA==;inline=0:AAAA\x07"],
  ["a device control string", "\x1bP$qm\x1b\\\x1bP+q544e\x1b\\"],
  ["an application command", "\x1b_Gi=1,a=q;AAAA\x1b\\"],
  ["controls of eight bits", "\u009b6n".slice(0, 1)],
  ["the old question who is there", "\x05"],
  ["a question for a report, a checksum or the keyboard's mode", "\x1b[1$w\x1b[1;1;1;1;9;9*y\x1b[?u\x1b[&u"],
  ["a question for colours, graphics or the modifiers of keys", "\x1b[#R\x1b[?1;1;0S\x1b[?4m\x1b['|"],
  ["a copy for the printer", "\x1b[5i\x1b[?5i"],
  ["another meaning of keys", "\x1b[>4;2m\x1b[>1u\x1b[=1u\x1b[<u"],
  ["reports of mouse, focus and size", "\x1b[?1003h\x1b[?25;1006h\x1b[?1004h\x1b[?2048h"],
  ["another character encoding", "\x1b%@"],
] as const;

for (const [what, sequence] of HARMFUL) {
  test(`takes out ${what}`, () => assert.equal(new HarmlessOutput().pass(`a${sequence}b`), "ab"));

  test(`takes out ${what} when it comes one character at a time`, () => {
    const output = new HarmlessOutput();
    assert.equal([..."a", ...sequence, ..."b"].map((character) => output.pass(character)).join(""), "ab");
  });
}

for (const [what, text, shown] of [
  ["inside of which a line feed stands", "\x1b[\n6n", "\n6n"],
  ["before which a line feed stands", "\x1b\n[6n", "\n[6n"],
  ["that only appears when something else is taken out", "\x1b\x85[6n", "[6n"],
  ["that only appears when a sequence is taken out", "\x1b\x1b[6n[6n", "[6n"],
  ["that another escape ends", "\x1b]52;c;cm0gLXJmIH4=\x1b[m", "52;c;cm0gLXJmIH4=\x1b[m"],
  ["that another control ends", "\x1b]52;c;cm0gLXJmIH4=\x18\x1b[m", "52;c;cm0gLXJmIH4=\x18\x1b[m"],
  ["in a title that was broken off", "\x1b]0;\x18\x9b6n\x07", ""],
] as const) {
  test(`takes out a sequence ${what}`, () => assert.equal(new HarmlessOutput().pass(text), shown));

  test(`takes out a sequence ${what}, also when it comes one character at a time`, () => {
    const output = new HarmlessOutput();
    assert.equal([...text].map((character) => output.pass(character)).join(""), shown);
  });
}

test("gives up on a sequence without end, and goes on", () => {
  const output = new HarmlessOutput();
  output.pass(`\x1b]52;${"x".repeat(9000)}`);
  assert.equal(output.pass("after"), "after");
});
