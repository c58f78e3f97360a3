import assert from "node:assert/strict";
import { test } from "node:test";
import { AddressOrder, listening } from "./address-order.js";

test("one that failed comes last, and one that serves nobody not at all, until the others do no better", () => {
  const order = new AddressOrder(["a", "b", "c"]);
  order.failed("a");
  assert.deepEqual(order.all(), ["b", "c", "a"]);
  order.refused("b");
  assert.deepEqual(order.all(), ["c", "a"]);
  order.failed("c");
  assert.deepEqual(order.all(), ["a", "b", "c"]);
  for (const address of order.all()) order.refused(address);
  assert.deepEqual(order.all(), ["a", "b", "c"]);
});

test("a server that says nothing waits behind those that answer, and one that refuses is left out", async () => {
  const late = Promise.withResolvers<boolean>();
  const answers: Readonly<Record<string, Promise<boolean>>> = {
    gone: late.promise,
    refusing: Promise.resolve(false),
    first: Promise.resolve(true),
    second: Promise.resolve(true),
  };
  const found: string[] = [];
  for await (const address of listening(Object.keys(answers), (each) => answers[each] as Promise<boolean>)) {
    found.push(address);
    if (address === "second") late.resolve(true);
  }
  assert.deepEqual(found, ["first", "second", "gone"]);
});

test("whoever has found one waits for no other", async () => {
  const signals: AbortSignal[] = [];
  for await (const address of listening(["gone", "here"], (each, signal) => {
    signals.push(signal);
    return each === "gone" ? new Promise(() => undefined) : Promise.resolve(true);
  })) {
    assert.equal(address, "here");
    break;
  }
  assert.deepEqual(
    signals.map(({ aborted }) => aborted),
    [true, true],
  );
});

for (const [what, answers, expected] of [
  ["comes before a first one that is silent", { a: null, b: true, c: true }, ["c", "b"]],
  ["comes after a first one that is there, when it is silent itself", { a: true, b: true, c: null }, ["a", "b"]],
  ["is left out when it refuses", { a: true, b: true, c: false }, ["a", "b"]],
] as const)
  test(`the one that answered last ${what}`, async () => {
    const found: string[] = [];
    const ask = (each: string): Promise<boolean> => {
      const answer = answers[each as "a"];
      return answer === null ? new Promise((resolve) => setTimeout(resolve, 600, false)) : Promise.resolve(answer);
    };
    for await (const address of listening(["a", "b", "c"], ask, "c")) found.push(address);
    assert.deepEqual(found, expected);
  });
