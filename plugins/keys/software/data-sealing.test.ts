import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import test from "node:test";
import { isMezError } from "../../../core/errors/error.js";
import { DataSealing } from "./data-sealing.js";
import { open } from "./sealing.js";

const dataKey = randomBytes(32);
const sealing = new DataSealing({ dataKey: async () => dataKey });

test("opens what it sealed, under the same context only", async () => {
  const sealed = await sealing.seal(Buffer.from("secret"), "mfa factor 1");
  assert.ok(!Buffer.from(sealed, "base64").includes("secret"));
  assert.equal((await sealing.open(sealed, "mfa factor 1")).toString(), "secret");
  await assert.rejects(sealing.open(sealed, "mfa factor 2"), (error) => isMezError(error, "STORAGE_CORRUPT"));
  const changed = `${sealed.startsWith("A") ? "B" : "A"}${sealed.slice(1)}`;
  await assert.rejects(sealing.open(changed, "mfa factor 1"), (error) => isMezError(error, "STORAGE_CORRUPT"));
});

test("uses another key than the one that seals CA keys", async () => {
  const sealed = await sealing.seal(Buffer.from("secret"), "context");
  assert.equal(open(dataKey, Buffer.from(sealed, "base64"), "context"), null);
});

test("says that the key is out of reach", async () => {
  const away = new DataSealing({ dataKey: () => Promise.reject(new Error("disk")) });
  await assert.rejects(away.seal(Buffer.alloc(1), "x"), (error) => isMezError(error, "KEY_BACKEND_UNAVAILABLE"));
});
