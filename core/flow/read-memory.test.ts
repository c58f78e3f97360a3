import assert from "node:assert/strict";
import { test } from "node:test";
import { ReadMemory } from "./read-memory.js";

const KIB = 1024;
const LARGE = 256 * KIB;

for (const [what, reads, room] of [
  ["a first message of TLS, which is all that is read there before TLS takes over", [1_700], 2 * KIB],
  ["keystrokes", [1, 1, 1], 2 * KIB],
  ["a first message that fills what there was", [2 * KIB], 8 * KIB],
  ["a screen", [2 * KIB, 7 * KIB], 8 * KIB],
  ["more than a screen", [2 * KIB, 8 * KIB], LARGE],
  ["a transfer that has ended", [2 * KIB, 8 * KIB, LARGE, ...Array<number>(32).fill(100)], 8 * KIB],
] as const) {
  test(`has room for what may follow ${what}`, () => {
    const memory = new ReadMemory();
    for (const length of reads) memory.after(length);
    assert.equal(memory.area.length, room);
    memory.close();
  });
}

test("leaves small memory to whoever keeps it", () => {
  const memory = new ReadMemory();
  const first = memory.area;
  const giveBack = memory.keep();
  assert.notEqual(memory.after(100).buffer, first.buffer);
  giveBack();
  memory.close();
});
