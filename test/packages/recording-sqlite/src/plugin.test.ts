import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isMezError, RECORDING_STORE } from "mezite/plugin";
import { startTestCluster, testRecordingStore } from "mezite/testing";
import { SqliteRecordingStore } from "./recording-store.js";

testRecordingStore("sqlite", async () => {
  const folder = await mkdtemp(join(tmpdir(), "recording-sqlite-"));
  let store: SqliteRecordingStore | null = null;
  const open = () => {
    store?.close();
    store = new SqliteRecordingStore(join(folder, "made", "recordings.db"));
    store.open();
    return store;
  };
  return {
    store: delegating(() => store ?? open()),
    reopen: async () => open(),
    close: async () => {
      store?.close();
      await rm(folder, { recursive: true });
    },
  };
});

test("says that the file cannot be written", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "recording-sqlite-"));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "file"), "");
  const store = new SqliteRecordingStore(join(folder, "file", "recordings.db"));
  assert.throws(
    () => store.open(),
    (error) => isMezError(error, "STORAGE_UNWRITABLE"),
  );
});

test("takes the place of the built-in store in a server", async () => {
  const cluster = await startTestCluster({ plugins: [join(__dirname, "..")] });
  try {
    assert.deepEqual(cluster.port(RECORDING_STORE).names(), ["sqlite"]);
    assert.equal(await cluster.port(RECORDING_STORE).get("sqlite").append("recording-1", 0, Buffer.from("x")), 1);
  } finally {
    await cluster.stop();
  }
});

/** The suite keeps the first store while it reopens: one file, one store at a time. */
function delegating(current: () => SqliteRecordingStore): SqliteRecordingStore {
  return new Proxy(current(), {
    get: (_, name: keyof SqliteRecordingStore) => {
      const store = current();
      return store[name].bind(store);
    },
  });
}
