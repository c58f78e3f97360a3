import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { mkdtemp, rm, symlink, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isMezError } from "../../../core/errors/error.js";
import { testRecordingStore } from "../../../test/contracts/recording-store.js";
import { LocalRecordingStore } from "./local-recording-store.js";

testRecordingStore("local", async () => {
  const folder = await mkdtemp(join(tmpdir(), "mezite-recordings-"));
  const open = () => new LocalRecordingStore(join(folder, "made", "at-first-use"));
  return { store: open(), reopen: async () => open(), close: () => rm(folder, { recursive: true }) };
});

test("shows a finished file only once it is complete, readable by its owner alone", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "mezite-recordings-"));
  t.after(() => rm(folder, { recursive: true }));
  const store = new LocalRecordingStore(folder);
  const id = randomUUID();
  await store.append(id, 0, Buffer.from("x"));
  assert.equal(existsSync(join(folder, `${id}.cast`)), false);
  await store.complete(id);
  assert.equal(statSync(join(folder, `${id}.cast`)).mode & 0o777, 0o600);
  assert.equal(existsSync(join(folder, `${id}.part`)), false);
});

test("says that the folder cannot be written", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "mezite-recordings-"));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "file"), "");
  const store = new LocalRecordingStore(join(folder, "file", "inside"));
  await assert.rejects(store.append(randomUUID(), 0, Buffer.from("x")), (error) => isMezError(error, "STORAGE_UNWRITABLE"));
});

test("says that the disk is full, and goes on from what it holds", {
  skip: existsSync("/dev/full") ? false : "needs /dev/full",
}, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "mezite-recordings-"));
  t.after(() => rm(folder, { recursive: true }));
  const store = new LocalRecordingStore(folder);
  const id = randomUUID();
  await symlink("/dev/full", join(folder, `${id}.part`));
  await assert.rejects(store.append(id, 0, Buffer.from("x")), (error) => isMezError(error, "STORAGE_FULL"));
  await unlink(join(folder, `${id}.part`));
  assert.equal(await store.append(id, 0, Buffer.from("x")), 1);
});
