import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import type { ErrorCode } from "../../core/errors/codes.js";
import { isMezError } from "../../core/errors/error.js";
import type { Bucket, StoredObject } from "../../plugins/s3/api.js";

/** A bucket under test; it may hold other things. */
export interface BucketUnderTest {
  readonly bucket: Bucket;
  close(): Promise<void>;
}

/**
 * What every `Bucket` must do.
 * @param options.forgetsUploads Whether an upload that was given up takes no more parts; default true.
 */
export function testBucket(
  name: string,
  open: () => Promise<BucketUnderTest>,
  { skip = false, forgetsUploads = true }: { readonly skip?: string | false; readonly forgetsUploads?: boolean } = {},
): void {
  describe(`bucket: ${name}`, { skip }, () => {
    let subject: BucketUnderTest;
    let bucket: Bucket;
    const prefix = `test-${randomUUID()}/`;
    before(async () => {
      subject = await open();
      bucket = subject.bucket;
    });
    after(() => subject?.close());

    test("keeps an object, whole and in pieces", async () => {
      const bytes = randomBytes(100_000);
      await bucket.put(`${prefix}a`, bytes);
      assert.deepEqual(await bucket.head(`${prefix}a`), { key: `${prefix}a`, sizeBytes: 100_000 });
      assert.ok((await buffer(await bucket.read(`${prefix}a`))).equals(bytes));
      const piece = await buffer(await bucket.read(`${prefix}a`, { start: 10, length: 20 }));
      assert.ok(piece.equals(bytes.subarray(10, 30)));
    });

    test("knows nothing of an unknown key, and deletes it calmly", async () => {
      assert.equal(await bucket.head(`${prefix}none`), null);
      await rejects(bucket.read(`${prefix}none`), "NOT_FOUND");
      await bucket.delete(`${prefix}none`);
    });

    test("forgets a deleted object", async () => {
      await bucket.put(`${prefix}gone`, Buffer.from("x"));
      await bucket.delete(`${prefix}gone`);
      assert.equal(await bucket.head(`${prefix}gone`), null);
    });

    test("lists what begins with a prefix, by key", async () => {
      for (const name of ["list/b", "list/a", "list/c/d", "lists"]) await bucket.put(`${prefix}${name}`, Buffer.from(name));
      const found: StoredObject[] = [];
      for await (const object of bucket.list(`${prefix}list/`)) found.push(object);
      assert.deepEqual(
        found.map(({ key, sizeBytes }) => [key.slice(prefix.length), sizeBytes]),
        [
          ["list/a", 6],
          ["list/b", 6],
          ["list/c/d", 8],
        ],
      );
    });

    test("makes one object of parts, with a part that was sent twice", async () => {
      const key = `${prefix}parts`;
      const parts = [randomBytes(5 * 1024 * 1024), randomBytes(5 * 1024 * 1024), randomBytes(3)] as const;
      const upload = { key, uploadId: await bucket.beginUpload(key) };
      await bucket.uploadPart(upload, 1, randomBytes(5 * 1024 * 1024));
      const tags: string[] = [];
      for (const [index, part] of parts.entries()) tags.push(await bucket.uploadPart(upload, index + 1, part));
      assert.equal(await bucket.head(key), null);
      await bucket.completeUpload(upload, tags);
      assert.ok((await buffer(await bucket.read(key))).equals(Buffer.concat(parts)));
    });

    test("knows no upload that was given up, and gives one up twice calmly", async () => {
      const key = `${prefix}aborted`;
      const upload = { key, uploadId: await bucket.beginUpload(key) };
      await bucket.uploadPart(upload, 1, Buffer.from("x"));
      await bucket.abortUpload(upload);
      await bucket.abortUpload(upload);
      if (forgetsUploads) await rejects(bucket.uploadPart(upload, 1, Buffer.from("x")), "NOT_FOUND");
      assert.equal(await bucket.head(key), null);
    });
  });
}

// --- internal ---

async function rejects(work: Promise<unknown>, code: ErrorCode): Promise<void> {
  await assert.rejects(work, (error) => isMezError(error, code));
}
