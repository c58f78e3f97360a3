import assert from "node:assert/strict";
import { test } from "node:test";
import { listening } from "./address-order.js";

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
