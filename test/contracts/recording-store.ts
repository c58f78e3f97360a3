import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import type { ErrorCode } from "../../core/errors/codes.js";
import { isMezError } from "../../core/errors/error.js";
import type { RecordingStore } from "../../core/ports/recording-store.js";

/** A store under test. */
export interface RecordingStoreUnderTest {
  readonly store: RecordingStore;
  /** The same recordings as another process sees them after a restart. */
  reopen(): Promise<RecordingStore>;
  close(): Promise<void>;
}

/** What every filler of the port RECORDING_STORE must do. */
export function testRecordingStore(name: string, open: () => Promise<RecordingStoreUnderTest>): void {
  describe(`recording store ${name}`, () => {
    let subject: RecordingStoreUnderTest;
    let store: RecordingStore;
    before(async () => {
      subject = await open();
      store = subject.store;
    });
    after(() => subject.close());

    test("plays back what was appended", async () => {
      const id = randomUUID();
      const pieces = [randomBytes(1), randomBytes(256 * 1024), randomBytes(77)];
      let offset = 0;
      for (const piece of pieces) offset = await store.append(id, offset, piece);
      assert.equal(offset, 256 * 1024 + 78);
      assert.equal(await store.size(id), offset);
      await store.complete(id);
      assert.ok((await buffer(await store.read(id))).equals(Buffer.concat(pieces)));
    });

    test("keeps the channels of a session apart", async () => {
      const id = randomUUID();
      await store.append(id, 0, Buffer.from("first"));
      await store.append(`${id}.1`, 0, Buffer.from("second"));
      assert.equal(String(await buffer(await store.read(id))), "first");
      assert.equal(String(await buffer(await store.read(`${id}.1`))), "second");
    });

    test("knows 0 bytes of an unknown recording, and cannot read it", async () => {
      const id = randomUUID();
      assert.equal(await store.size(id), 0);
      await rejects(store.read(id), "NOT_FOUND");
    });

    test("takes the same bytes again, also with more behind them", async () => {
      const id = randomUUID();
      await store.append(id, 0, Buffer.from("abcdef"));
      assert.equal(await store.append(id, 2, Buffer.from("cd")), 6);
      assert.equal(await store.append(id, 4, Buffer.from("efgh")), 8);
      assert.equal(await store.append(id, 8, Buffer.alloc(0)), 8);
      assert.equal(String(await buffer(await store.read(id))), "abcdefgh");
    });

    test("refuses other bytes in a place that is taken", async () => {
      const id = randomUUID();
      await store.append(id, 0, Buffer.from("abcdef"));
      await rejects(store.append(id, 3, Buffer.from("XYZ123")), "CONFLICT");
      assert.equal(String(await buffer(await store.read(id))), "abcdef");
    });

    test("refuses a gap", async () => {
      const id = randomUUID();
      await rejects(store.append(id, 1, Buffer.from("b")), "CONFLICT");
      await store.append(id, 0, Buffer.from("a"));
      await rejects(store.append(id, 2, Buffer.from("c")), "CONFLICT");
    });

    test("lets nothing be added to a complete recording", async () => {
      const id = randomUUID();
      await store.append(id, 0, Buffer.from("abc"));
      await store.complete(id);
      await store.complete(id);
      await rejects(store.append(id, 3, Buffer.from("d")), "CONFLICT");
      assert.equal(await store.size(id), 3);
    });

    test("plays back a recording that is still growing", async () => {
      const id = randomUUID();
      await store.append(id, 0, Buffer.from("so far"));
      assert.equal(String(await buffer(await store.read(id))), "so far");
    });

    test("goes on after a restart", async () => {
      const id = randomUUID();
      await store.append(id, 0, Buffer.from("before, "));
      const reopened = await subject.reopen();
      assert.equal(await reopened.size(id), 8);
      await reopened.append(id, 8, Buffer.from("after"));
      await reopened.complete(id);
      assert.equal(String(await buffer(await (await subject.reopen()).read(id))), "before, after");
    });

    test("keeps the order of appends that come at once", async () => {
      const id = randomUUID();
      await Promise.all(Array.from({ length: 20 }, (_, index) => store.append(id, index * 2, Buffer.from(`${index % 10}\n`))));
      assert.equal(await store.size(id), 40);
    });

    test("forgets a deleted recording, and takes an unknown one calmly", async () => {
      const id = randomUUID();
      await store.append(id, 0, Buffer.from("a"));
      await store.complete(id);
      await store.delete(id);
      await store.delete(id);
      assert.equal(await store.size(id), 0);
      await rejects(store.read(id), "NOT_FOUND");
    });

    for (const id of [
      "",
      ".",
      "..",
      "../x",
      "a/b",
      "/etc/passwd",
      "a\0b",
      "a\\b",
      "x".repeat(200),
      "a.b",
      "a.1.2",
      "-a",
      "a\n",
    ]) {
      test(`refuses the id ${JSON.stringify(id.slice(0, 20))}`, async () => {
        await rejects((async () => store.append(id, 0, Buffer.from("x")))(), "INVALID_ARGUMENT");
        await rejects((async () => store.read(id))(), "INVALID_ARGUMENT");
      });
    }
  });
}

// --- internal ---

async function rejects(work: Promise<unknown>, code: ErrorCode): Promise<void> {
  await assert.rejects(work, (error) => isMezError(error, code));
}
