import assert from "node:assert/strict";
import { test } from "node:test";
import { parseKeys } from "./player-keys.js";

for (const [what, input, actions] of [
  ["a space", " ", ["pause"]],
  ["arrows in both of their forms", "\x1b[C\x1bOD\x1b[A\x1bOB", ["seek 5", "seek -5", "seek 60", "seek -60"]],
  ["several keys at once", "q .\x03", ["quit", "pause", "step", "interrupt"]],
  ["keys for the speed", "+=-", ["speed 1.5", "speed 1.5", `speed ${1 / 1.5}`]],
  ["what a terminal answers", "\x1b[24;80R\x1b[?62;4c\x1b]11;rgb:0/0/0q\x07\x1bP1+rq \x1b\\", []],
  ["letters without a meaning", "xyzä", []],
] as const) {
  test(`reads ${what}`, () => {
    const words = parseKeys(input).map((action) =>
      action.kind === "seek" ? `seek ${action.seconds}` : action.kind === "speed" ? `speed ${action.factor}` : action.kind,
    );
    assert.deepEqual(words, actions);
  });
}
