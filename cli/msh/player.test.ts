import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { CastEvent } from "./asciicast.js";
import { Player, type PlayerOptions } from "./player.js";

const HOUR = 3600;

function play(moments: readonly number[], options: Partial<PlayerOptions> = {}) {
  async function* events(): AsyncGenerator<CastEvent> {
    for (const [number, seconds] of moments.entries()) yield { seconds, kind: "o", text: `${number}` };
  }
  let screen = "";
  const player = new Player(events(), {
    show: async (text) => {
      // A reset empties the screen, as it does on a terminal.
      screen = text.startsWith("\x1bc") ? text.slice("\x1bc\x1b[3J".length) : screen + text;
    },
    ...{ speed: 1, maxIdleSeconds: Number.POSITIVE_INFINITY, fromSeconds: 0, signal: AbortSignal.timeout(60_000) },
    ...options,
  });
  const shows = async (wanted: string): Promise<void> => {
    while (screen !== wanted) await delay(1);
  };
  return { player, shows, done: player.run() };
}

test("plays everything in order and ends", async () => {
  const { shows, done } = play([0, 0.01, 0.01, 0.02]);
  await done;
  await shows("0123");
});

test("plays faster, and cuts long pauses", async () => {
  await play([0, HOUR], { speed: 1000, maxIdleSeconds: 1 }).done;
});

test("begins where it is told", async () => {
  const { shows, done, player } = play([0, 10, 20, HOUR], { fromSeconds: 15 });
  await shows("01");
  player.press({ kind: "quit" });
  await done;
});

test("goes forward and back", async () => {
  const { player, shows, done } = play([0, 4, 8, 12, HOUR]);
  await shows("0");
  player.press({ kind: "seek", seconds: 5 });
  await shows("01");
  player.press({ kind: "seek", seconds: 5 });
  await shows("012");
  player.press({ kind: "seek", seconds: -5 });
  await shows("01");
  player.press({ kind: "seek", seconds: -60 });
  await shows("0");
  player.press({ kind: "seek", seconds: 60 });
  await shows("0123");
  player.press({ kind: "seek", seconds: 2 * HOUR });
  await done;
  await shows("01234");
});

test("stands still while paused, goes one step at a time, and goes on", async () => {
  const { player, shows, done } = play([0, 60, HOUR, HOUR + 1]);
  await shows("0");
  player.press({ kind: "pause" });
  player.press({ kind: "speed", factor: 1000 });
  await delay(100);
  await shows("0");
  player.press({ kind: "step" });
  await shows("01");
  player.press({ kind: "step" });
  await shows("012");
  player.press({ kind: "pause" });
  await done;
  await shows("0123");
});

test("a change of speed counts from the place where it is", async () => {
  const { player, done } = play([0, HOUR]);
  for (let times = 0; times < 40; times += 1) player.press({ kind: "speed", factor: 1.5 });
  await done;
});

test("ends with the reason of whoever interrupts it", async () => {
  const interruption = new AbortController();
  const { shows, done } = play([0, HOUR], { signal: interruption.signal });
  await shows("0");
  interruption.abort(new Error("interrupted"));
  await assert.rejects(done, /interrupted/);
});
