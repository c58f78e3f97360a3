import assert from "node:assert/strict";
import { test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { testRecordingStore } from "../contracts/recording-store.js";
import { FakeRecordingStore } from "./recording-store.js";

testRecordingStore("fake", async () => {
  const store = new FakeRecordingStore();
  return { store, reopen: async () => store, close: async () => undefined };
});

test("fails once when it is told to", async () => {
  const store = new FakeRecordingStore();
  store.failNextAppend("STORAGE_FULL");
  await assert.rejects(store.append("a", 0, Buffer.from("x")), (error) => isMezError(error, "STORAGE_FULL"));
  assert.equal(await store.append("a", 0, Buffer.from("x")), 1);
});
