import assert from "node:assert/strict";
import { test } from "node:test";
import { isMezError } from "../errors/error.js";
import { BackgroundLane } from "./background-lane.js";

test("lets others go ahead after each slice, and begins calls in their order", async () => {
  const lane = new BackgroundLane(60_000, 0);
  const order: (number | string)[] = [];
  const calls = [1, 2, 3].map((n) => lane.turn(`agent ${n}`).then(() => order.push(n)));
  const others = async (): Promise<void> => {
    while (order.length < 6) {
      await new Promise((resolve) => setImmediate(resolve));
      order.push("other");
    }
  };
  await Promise.all([...calls, others()]);
  assert.deepEqual(
    order.filter((entry) => entry !== "other"),
    [1, 2, 3],
  );
  assert.ok(order.indexOf("other") < order.indexOf(3), order.join());
});

test("begins many in one slice", async () => {
  const lane = new BackgroundLane(60_000, 1_000);
  let begun = 0;
  for (let call = 0; call < 50; call += 1) void lane.turn(`agent ${call}`).then(() => (begun += 1));
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(begun, 50);
});

test("tells who would wait for too long to come again", async () => {
  const lane = new BackgroundLane(0);
  const taken = lane.turn("one");
  for (const until = performance.now() + 2; performance.now() < until; );
  await assert.rejects(
    lane.turn("late"),
    (error) => isMezError(error, "LIMIT_EXCEEDED") && error.fields["retryAfterMs"] === 5_000,
  );
  await taken;
  await lane.turn("late");
});

test("keeps room for others, however much one connection asks", async () => {
  const lane = new BackgroundLane(60_000, 0);
  const greedy = Array.from({ length: 50 }, () => lane.turn("greedy"));
  const modest = lane.turn("modest");
  const answers = await Promise.allSettled(greedy);
  await modest;
  assert.equal(answers.filter(({ status }) => status === "fulfilled").length, 16);
  await lane.turn("greedy");
});
