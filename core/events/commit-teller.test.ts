import assert from "node:assert/strict";
import { test } from "node:test";
import { readNote, writeNote } from "./commit-note.js";
import { CommitTeller } from "./commit-teller.js";

const SERVER = "0d9b2f4e-7c1a-4f0e-9a34-2b6f5d8c1e77";
const note = (seq: number) => ({ seq, server: SERVER });

test("the first commit tells by itself, those right after it are told of together, with the last", async () => {
  const sent: string[] = [];
  let now = 1000;
  const teller = new CommitTeller(
    async (text) => void sent.push(text),
    () => now,
  );
  assert.equal(teller.before(note(1)), writeNote(note(1)));
  for (const seq of [2, 3, 4]) {
    now += 1;
    assert.equal(teller.before(note(seq)), null);
    teller.madeSilently(note(seq));
  }
  await teller.close();
  assert.deepEqual(sent, [writeNote(note(4))]);
  await teller.close();
  assert.equal(sent.length, 1);
});

test("a commit after a while tells by itself, and for those before it", async () => {
  const sent: string[] = [];
  let now = 1000;
  const teller = new CommitTeller(
    async (text) => void sent.push(text),
    () => now,
  );
  teller.before(note(1));
  teller.before(note(2));
  teller.madeSilently(note(2));
  now += 1000;
  assert.equal(teller.before(note(3)), writeNote(note(3)));
  await teller.close();
  assert.deepEqual(sent, []);
});

test("a database that cannot be told is no failure: others ask by themselves", async () => {
  const teller = new CommitTeller(() => Promise.reject(new Error("gone")));
  teller.before(note(1));
  teller.madeSilently(note(2));
  await teller.close();
});

for (const [text, read] of [
  [writeNote(note(12)), note(12)],
  ["", null],
  ["12", null],
  [`-1 ${SERVER}`, null],
  [`12 ${SERVER} and more`, null],
] as const)
  test(`reads the note "${text}" as ${JSON.stringify(read)}`, () => assert.deepEqual(readNote(text), read));
