import assert from "node:assert/strict";
import { test } from "node:test";
import { Turnstile, type TurnstileLimits } from "./turnstile.js";

const NEAR = "192.0.2.1";
const FAR = "198.51.100.7";

test("few begin in one turn of the event loop, in the order in which they came", async () => {
  const { enter, begun } = open({ perTurn: 2 });
  for (const name of ["a", "b", "c", "d", "e"]) enter(name);
  const seen = [[...begun]];
  for (let turn = 0; turn < 3; turn += 1) {
    await nextTurn();
    seen.push([...begun]);
  }
  assert.deepEqual(
    seen.map((names) => names.join("")),
    ["ab", "abcd", "abcde", "abcde"],
  );
});

test("the lines of two networks take turns, however long one of them is", async () => {
  const { enter, begun } = open({ perTurn: 1 });
  for (const name of ["a", "b", "c", "d"]) enter(name);
  for (const name of ["x", "y"]) enter(name, FAR);
  for (let turn = 0; turn < 6; turn += 1) await nextTurn();
  assert.equal(begun.join(""), "abxcyd");
});

test("what is under way of one network holds up nobody else, and its line goes on when that is over", async () => {
  const { enter, begun, ends } = open({ perNetwork: 1 });
  for (const name of ["a", "b"]) enter(name);
  enter("x", FAR);
  await nextTurn();
  assert.equal(begun.join(""), "ax");
  for (let times = 0; times < 2; times += 1) ends.get("a")?.(); // the second time says nothing
  await nextTurn();
  enter("c");
  await nextTurn();
  assert.equal(begun.join(""), "axb");
});

test("when as many are under way as are to be, the next begins with the end of one, or when one takes long", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { enter, begun, ends } = open({ atOnce: 2 });
  for (const name of ["a", "b", "c", "d", "e"]) enter(name);
  await nextTurn();
  assert.equal(begun.join(""), "ab");
  ends.get("b")?.();
  assert.equal(begun.join(""), "abc");
  for (const ms of [100, 900]) t.mock.timers.tick(ms);
  await nextTurn();
  ends.get("a")?.(); // whose place has been given away
  await nextTurn();
  assert.equal(begun.join(""), "abcde");
});

test("whoever says nothing keeps a place for a tenth of the time, so that many of them hold up others little", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { enter, begun, silent } = open({ atOnce: 2 });
  for (let network = 0; network < 20; network += 1) {
    if (network > 0) silent.add(String(network));
    enter(String(network), `2001:db8:0:${network}::1`);
  }
  enter("x", FAR);
  for (let tenths = 0; tenths < 10; tenths += 1) {
    assert.equal(begun.length, 2 + tenths);
    t.mock.timers.tick(100);
    await nextTurn();
  }
  assert.equal(begun.length, 13, "the one that speaks has left as well");
  for (let tenths = 0; tenths < 10; tenths += 1) {
    t.mock.timers.tick(100);
    await nextTurn();
  }
  assert.ok(begun.includes("x"));
});

test("whoever leaves does not begin, and takes nobody along", async () => {
  const { enter, begun, turnstile } = open({ perTurn: 1 });
  enter("a");
  const leave = enter("b");
  leave();
  enter("c");
  leave();
  assert.equal(turnstile.waiting, 1);
  for (let turn = 0; turn < 2; turn += 1) await nextTurn();
  assert.equal(begun.join(""), "ac");
});

test("when there is no room left to wait in, the last of the longest line goes", () => {
  const { enter, refused, turnstile } = open({ perTurn: 0, room: () => 3 });
  for (const name of ["a", "b", "c"]) enter(name);
  enter("d");
  enter("x", FAR);
  enter("y", FAR);
  assert.equal(refused.join(""), "dcy");
  assert.equal(turnstile.waiting, 3);
});

test("whoever waits for longer than the limit goes, and nobody else does", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { enter, begun, refused, ends, turnstile } = open({ perNetwork: 1, waitMs: 5_000 });
  for (const name of ["a", "b", "c"]) enter(name);
  t.mock.timers.tick(4_000);
  enter("d");
  const leave = enter("e");
  ends.get("a")?.();
  await nextTurn();
  leave();
  t.mock.timers.tick(1_000);
  assert.deepEqual([begun.join(""), refused.join("")], ["ab", "c!"]);
  assert.equal(turnstile.waiting, 1);
  t.mock.timers.tick(4_000);
  assert.equal(refused.join(""), "c!d!");
});

// --- internal ---

function open(limits: Partial<TurnstileLimits>) {
  const turnstile = new Turnstile({ perTurn: 100, perNetwork: 100, room: () => 100, ...limits });
  const begun: string[] = [];
  const refused: string[] = [];
  const ends = new Map<string, () => void>();
  const silent = new Set<string>();
  const enter = (name: string, address = NEAR) =>
    turnstile.enter(address, {
      begin: (over) => {
        begun.push(name);
        ends.set(name, over);
      },
      refuse: (why) => void refused.push(why === "waited too long" ? `${name}!` : name),
      hasSpoken: () => !silent.has(name),
    });
  return { turnstile, enter, begun, refused, ends, silent };
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
