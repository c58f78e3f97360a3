import assert from "node:assert/strict";
import { test } from "node:test";
import { readNote, writeNote } from "./commit-note.js";

const SERVER = "0d9b2f4e-7c1a-4f0e-9a34-2b6f5d8c1e77";
const note = (seq: number) => ({ seq, server: SERVER });

for (const [text, read] of [
  [writeNote(note(12)), note(12)],
  ["", null],
  ["12", null],
  [`-1 ${SERVER}`, null],
  [`12 ${SERVER} and more`, null],
] as const)
  test(`reads the note "${text}" as ${JSON.stringify(read)}`, () => assert.deepEqual(readNote(text), read));
