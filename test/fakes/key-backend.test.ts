import assert from "node:assert/strict";
import { test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { testKeyBackend } from "../contracts/key-backend.js";
import { FakeKeyBackend } from "./key-backend.js";

testKeyBackend("fake", async () => {
  const backend = new FakeKeyBackend();
  return { backend, reopen: async () => backend, close: async () => undefined };
});

test("fails once when it is told to", async () => {
  const backend = new FakeKeyBackend({ failNextSign: "KEY_BACKEND_UNAVAILABLE" });
  const { handle } = await backend.generate("ed25519");
  await assert.rejects(backend.sign(handle, Buffer.from("x")), (error) => isMezError(error, "KEY_BACKEND_UNAVAILABLE"));
  assert.equal((await backend.sign(handle, Buffer.from("x"))).length, 64);
});
