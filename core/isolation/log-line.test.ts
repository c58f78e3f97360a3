import assert from "node:assert/strict";
import { test } from "node:test";
import type { LogFields } from "../plugin/logger.js";
import { logLine } from "./log-line.js";

const LINES: readonly (readonly [what: string, sent: readonly [unknown, unknown], line: readonly [string, LogFields]])[] = [
  ["what is said", ["made a key", '{"type":"ed25519","n":1}'], ["made a key", { type: "ed25519", n: 1 }]],
  ["no word to the terminal", ["a\u001b[2J\r\nb\u009b", "{}"], ["a [2J  b ", {}]],
  ["no other origin", ["x", '{"plugin":"core","level":60,"time":"then","msg":"y","a":1}'], ["x", { a: 1 }]],
  ["nothing that is no object", ["x", "null"], ["x", {}]],
  ["the start of a long message", ["x".repeat(10_000), "7"], ["x".repeat(4096), {}]],
  ["a word about fields that are too long", ["x", JSON.stringify({ a: "x".repeat(5000) })], ["x", { fields: "(too long)" }]],
  ["what is no text as text", [undefined, undefined], ["undefined", { fields: "(too long)" }]],
];

for (const [what, [message, fields], line] of LINES) {
  test(`a line of an isolated plugin has ${what}`, () => assert.deepEqual(logLine(message, fields), line));
}
