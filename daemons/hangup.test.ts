import assert from "node:assert/strict";
import { test } from "node:test";
import { hangupListener } from "./hangup.js";

for (const [what, goneFromLook, expected] of [
  ["whose terminal was closed stops", 1, ["stop"]],
  ["whose terminal is taken away after the signal stops as well", 2, ["reload", "stop"]],
  ["without a terminal, or with one that stays, reads its configuration again", 3, ["reload"]],
] as const)
  test(`at SIGHUP a daemon ${what}`, (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const done: string[] = [];
    let looks = 0;
    const isTerminalGone = () => ++looks >= goneFromLook;
    hangupListener({ isTerminalGone, stop: () => void done.push("stop"), reload: () => void done.push("reload") })();
    t.mock.timers.tick(10_000);
    assert.deepEqual(done, expected);
  });
