import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectAnew } from "./connect-anew.js";

test("connects anew at once as often as it may, then ever more rarely, and at once again after an answer", () => {
  let now = 0;
  const anew = new ConnectAnew(
    2,
    () => now,
    () => 0,
  );
  const seconds: number[] = [];
  const until = (end: number): void => {
    for (; now < end; now += 500) if (anew.may()) seconds.push(now / 1000);
  };
  assert.ok(anew.may());
  until(130_000);
  assert.deepEqual(seconds, [0, 2, 6, 14, 30, 62, 122]);
  anew.served();
  assert.ok(anew.may());
  assert.ok(anew.may());
  assert.equal(anew.may(), false);
});

test("two clients do not keep step", () => {
  let now = 0;
  const [early, late] = [
    new ConnectAnew(
      1,
      () => now,
      () => 0.9,
    ),
    new ConnectAnew(
      1,
      () => now,
      () => 0,
    ),
  ];
  for (const each of [early, late]) assert.ok(each.may());
  now = 1_500;
  assert.deepEqual([early.may(), late.may()], [true, false]);
});
