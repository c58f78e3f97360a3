import assert from "node:assert/strict";
import { test } from "node:test";
import { isToTake } from "./answering-proxy.js";

const never = new Promise<boolean>(() => undefined);
const SILENT = (_address: string, signal: AbortSignal): Promise<boolean> =>
  new Promise((resolve) => signal.addEventListener("abort", () => resolve(false)));

/** @param speaks What each proxy does. */
function ask(address: string, last: string | null, speaks: Readonly<Record<string, Promise<boolean>>>) {
  const all = Object.keys(speaks);
  const noted: string[] = [];
  const asked: string[] = [];
  const taken = isToTake({
    address,
    later: all.slice(all.indexOf(address) + 1),
    answered: { last: () => last, note: (each) => void noted.push(each) },
    signal: new AbortController().signal,
    speaks: (each, signal) => {
      asked.push(each);
      return speaks[each] === never ? SILENT(each, signal) : (speaks[each] as Promise<boolean>);
    },
  });
  return { taken, noted, asked };
}

for (const [what, last, first, second, expected] of [
  ["one that answers, and asks no other", null, true, true, { taken: true, noted: ["a"], asked: ["a"] }],
  ["one that answers, whichever answered last", "b", true, true, { taken: true, noted: ["a"], asked: ["b", "a"] }],
  ["one that answers, when what is remembered is gone", "b", true, false, { taken: true, noted: ["a"], asked: ["b", "a"] }],
  ["none that refuses", null, false, true, { taken: false, noted: [], asked: ["a"] }],
  ["the one that answered last in place of a silent one", "b", null, true, { taken: false, noted: ["b"], asked: ["b", "a"] }],
  ["a later one in place of a silent one", null, null, true, { taken: false, noted: ["b"], asked: ["a", "b"] }],
] as const)
  test(`ssh takes ${what}`, async () => {
    const doing = (answer: boolean | null) => (answer === null ? never : Promise.resolve(answer));
    const { taken, noted, asked } = ask("a", last, { a: doing(first), b: doing(second) });
    assert.deepEqual({ taken: await taken, noted, asked: asked.sort() }, { ...expected, asked: [...expected.asked].sort() });
  });

test("a slow proxy is taken when no other answers", async () => {
  const slow = Promise.withResolvers<boolean>();
  const { taken, noted } = ask("a", "b", { a: slow.promise, b: Promise.resolve(false) });
  setImmediate(() => slow.resolve(true));
  assert.equal(await taken, true);
  assert.deepEqual(noted, ["a"]);
});
