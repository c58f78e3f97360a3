import assert from "node:assert/strict";
import { test } from "node:test";
import { cutToWidth, displayWidth, escapeControls } from "./terminal-text.js";

for (const [text, width] of [
  ["", 0],
  ["web-01", 6],
  ["é", 1],
  ["e\u0301", 1],
  ["日本", 4],
  ["한글", 4],
  ["ｆｕｌｌ", 8],
  ["👩‍💻", 2],
  ["🇩🇪", 2],
  ["☺", 1],
  ["❤️", 2],
] as const) {
  test(`${JSON.stringify(text)} takes ${width} columns`, () => assert.equal(displayWidth(text), width));
}

for (const [text, columns, cut] of [
  ["web-01", 6, "web-01"],
  ["web-01", 5, "web-…"],
  ["日本語", 5, "日本…"],
  ["日本語", 4, "日…"],
] as const) {
  test(`cuts ${text} to ${columns} columns`, () => assert.equal(cutToWidth(text, columns), cut));
}

for (const [text, escaped] of [
  ["plain ünï 👩‍💻", "plain ünï 👩‍💻"],
  ["\u001b]0;title\u0007", "\\x1b]0;title\\x07"],
  ["\u009b31m", "\\x9b31m"],
  ["a\r\nb\tc\u007f", "a\\x0d\\x0ab\\x09c\\x7f"],
  ["user\u202etxt\u2066", "user\\u202etxt\\u2066"],
  ["\ud800", "\\ud800"],
] as const) {
  test(`makes ${JSON.stringify(text)} safe`, () => assert.equal(escapeControls(text), escaped));
}
