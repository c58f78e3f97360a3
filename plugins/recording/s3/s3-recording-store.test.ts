import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { isMezError } from "../../../core/errors/error.js";
import { testRecordingStore } from "../../../test/contracts/recording-store.js";
import { FakeBucket } from "../../../test/fakes/bucket.js";
import { eventually } from "../../../test/fixtures/eventually.js";
import { silentLogger } from "../../../test/fixtures/silent-logger.js";
import { startS3rver } from "../../../test/peers/s3rver.js";
import type { Bucket } from "../../s3/api.js";
import { S3Bucket } from "../../s3/s3-bucket.js";
import { s3Client } from "../../s3/s3-client.js";
import { S3RecordingStore } from "./s3-recording-store.js";
import { StageFolder } from "./stage-folder.js";

const MIB = 1024 * 1024;

for (const [name, open] of [
  ["a fake bucket", async () => ({ bucket: new FakeBucket(), close: async () => undefined })],
  ["s3rver", openS3rver],
] as const) {
  testRecordingStore(`s3 in ${name}`, async () => {
    const folder = mkdtempSync(join(tmpdir(), "mezite-stage-"));
    const { bucket, close } = await open();
    return {
      store: storeOf(bucket, folder),
      reopen: async () => storeOf(bucket, folder),
      async close() {
        await close();
        rmSync(folder, { recursive: true });
      },
    };
  });
}

test("sends parts while the session runs, and makes one object of them", async (t) => {
  const { store, bucket, folder } = world(t);
  const [id, bytes] = [randomUUID(), randomBytes(20 * MIB)];
  for (let offset = 0; offset < bytes.length; offset += MIB) await store.append(id, offset, bytes.subarray(offset, offset + MIB));
  await eventually(() => bucket.calls.filter((call) => call.startsWith("uploadPart")).length === 2);
  assert.equal(bucket.objects.size, 0);
  assert.equal(statSync(join(folder, `${id}.part`)).mode & 0o777, 0o600);
  await store.complete(id);
  assert.ok(bucket.objects.get(`recordings/${id}.cast`)?.equals(bytes));
  assert.equal(bucket.calls.filter((call) => call.startsWith("uploadPart")).length, 3);
  assert.deepEqual(readdirSync(folder), []);
});

test("a short recording is one request", async (t) => {
  const { store, bucket } = world(t);
  const id = randomUUID();
  await store.append(id, 0, Buffer.from("abc"));
  await store.complete(id);
  assert.deepEqual(
    bucket.calls.filter((call) => !call.startsWith("head")),
    [`put recordings/${id}.cast`],
  );
});

test("nothing is lost while the bucket is away for long: recordings grow, are kept, and go out when it is back", async (t) => {
  const { store, bucket, folder } = world(t);
  const early = { id: randomUUID(), bytes: randomBytes(9 * MIB) };
  await store.append(early.id, 0, early.bytes);
  await eventually(() => bucket.uploads.size === 1);
  bucket.isAway = true;
  const late = Array.from({ length: 5 }, () => ({ id: randomUUID(), bytes: randomBytes(9 * MIB) }));
  for (const { id, bytes } of late) await store.append(id, 0, bytes);
  await store.append(early.id, early.bytes.length, Buffer.from("more"));
  for (const { id } of [early, ...late])
    await assert.rejects(store.complete(id), (error) => isMezError(error, "STORAGE_UNWRITABLE"), "its recorder keeps its copy");
  assert.ok((await buffer(await store.read(late[0]?.id ?? ""))).equals(late[0]?.bytes ?? Buffer.alloc(0)));
  await store.retry();
  bucket.isAway = false;
  await store.retry();
  for (const { id, bytes } of late) assert.ok(bucket.objects.get(`recordings/${id}.cast`)?.equals(bytes));
  assert.equal(bucket.objects.get(`recordings/${early.id}.cast`)?.length, 9 * MIB + 4);
  assert.deepEqual(readdirSync(folder), []);
  for (const { id } of late) await store.complete(id); // the recorder asks again, and may forget its copy now
});

for (const step of ["beginUpload", "uploadPart", "completeUpload", "head", "put"]) {
  for (const moment of ["before", "after"] as const) {
    test(`goes on after a crash ${moment} ${step}`, async (t) => {
      const { bucket, folder } = world(t);
      for (const size of [3, 17 * MIB]) {
        const [id, bytes] = [randomUUID(), randomBytes(size)];
        const crashing = storeOf(crashAt(bucket, step, moment), folder);
        await crashing.append(id, 0, bytes).catch(() => undefined);
        await crashing.complete(id).catch(() => undefined);
        await crashing.dispose();
        const next = storeOf(bucket, folder);
        const held = await next.size(id);
        assert.equal(held === 0 ? await next.append(id, 0, bytes) : held, size);
        await next.complete(id);
        assert.ok(bucket.objects.get(`recordings/${id}.cast`)?.equals(bytes));
        assert.deepEqual(readdirSync(folder), []);
      }
    });
  }
}

test("says once that recordings wait, and once that they arrive again", async (t) => {
  const { bucket, folder } = world(t);
  const said: string[] = [];
  const say = (message: string) => void said.push(message);
  const logger = { ...silentLogger, warn: say, info: say };
  const store = new S3RecordingStore({ bucket, stage: new StageFolder(folder), prefix: "", logger });
  bucket.isAway = true;
  for (const id of [randomUUID(), randomUUID()]) await store.append(id, 0, Buffer.from("abc"));
  await store.retry();
  await store.retry();
  assert.deepEqual(said, ["recordings wait for the bucket"]);
  bucket.isAway = false;
  await store.retry();
  await store.retry();
  assert.deepEqual(said, ["recordings wait for the bucket", "recordings reach the bucket again"]);
});

test("sends everything again when the bucket has thrown an old upload away", async (t) => {
  const { store, bucket } = world(t);
  const [id, bytes] = [randomUUID(), randomBytes(9 * MIB)];
  await store.append(id, 0, bytes);
  await eventually(() => bucket.calls.includes(`uploadPart recordings/${id}.cast 1`));
  bucket.uploads.clear();
  await assert.rejects(store.complete(id), (error) => isMezError(error, "STORAGE_UNWRITABLE"));
  await store.complete(id);
  assert.ok(bucket.objects.get(`recordings/${id}.cast`)?.equals(bytes));
});

test("does not write over another recording of that id", async (t) => {
  const { store, bucket } = world(t);
  const id = randomUUID();
  bucket.isAway = true;
  await store.append(id, 0, Buffer.from("second"));
  bucket.isAway = false;
  await bucket.put(`recordings/${id}.cast`, Buffer.from("first of all"));
  await assert.rejects(store.complete(id), (error) => isMezError(error, "CONFLICT"));
  assert.equal(String(bucket.objects.get(`recordings/${id}.cast`)), "first of all");
});

test("goes on at the start with what an earlier process had finished", async (t) => {
  const { store, bucket, folder } = world(t);
  const id = randomUUID();
  await store.append(id, 0, Buffer.from("abc"));
  bucket.isAway = true;
  await store.complete(id).catch(() => undefined);
  bucket.isAway = false;
  const next = storeOf(bucket, folder);
  await next.start();
  t.after(() => next.dispose());
  await eventually(() => bucket.objects.size === 1);
  await eventually(() => readdirSync(folder).length === 0);
});

test("deleting throws away the parts of an upload", async (t) => {
  const { store, bucket } = world(t);
  const id = randomUUID();
  await store.append(id, 0, randomBytes(9 * MIB));
  await eventually(() => bucket.uploads.size === 1);
  await store.delete(id);
  assert.deepEqual([bucket.uploads.size, await store.size(id)], [0, 0]);
});

for (const moment of ["in the middle", "after its end"] as const) {
  test(`a recording whose server falls away ${moment} is finished through another, and the first one forgets its part`, async (t) => {
    const { bucket, folder, store: first } = world(t);
    const { folder: elsewhere } = world(t);
    const second = storeOf(bucket, elsewhere);
    const [id, bytes] = [randomUUID(), randomBytes(20 * MIB)];
    await first.append(id, 0, moment === "in the middle" ? bytes.subarray(0, 9 * MIB) : bytes);
    await eventually(() => bucket.uploads.size === 1);
    if (moment === "after its end") {
      bucket.isAway = true;
      await first.complete(id).catch(() => undefined);
      bucket.isAway = false;
    }
    assert.equal(await second.size(id), 0);
    await second.append(id, 0, bytes);
    await second.complete(id);
    const back = storeOf(bucket, folder);
    assert.ok((await buffer(await back.read(id))).equals(bytes), "whole, from the bucket");
    await storeOf(bucket, folder).retry();
    assert.deepEqual(readdirSync(folder), []);
    assert.equal(bucket.uploads.size, 0);
    assert.ok(bucket.objects.get(`recordings/${id}.cast`)?.equals(bytes));
  });
}

test("a recording that grows goes on at the server that it comes back to", async (t) => {
  const { bucket, store: first } = world(t);
  const { folder: elsewhere } = world(t);
  const [id, bytes] = [randomUUID(), randomBytes(20 * MIB)];
  await first.append(id, 0, bytes.subarray(0, 9 * MIB));
  await storeOf(bucket, elsewhere).append(id, 0, bytes.subarray(0, 12 * MIB));
  await first.append(id, await first.size(id), bytes.subarray(9 * MIB));
  await first.complete(id);
  const other = storeOf(bucket, elsewhere);
  await other.retry();
  assert.deepEqual(readdirSync(elsewhere), []);
  assert.equal(bucket.uploads.size, 0);
  assert.ok((await buffer(await other.read(id))).equals(bytes));
});

// --- internal ---

function world(t: TestContext): { readonly store: S3RecordingStore; readonly bucket: FakeBucket; readonly folder: string } {
  const folder = mkdtempSync(join(tmpdir(), "mezite-stage-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const bucket = new FakeBucket();
  return { store: storeOf(bucket, folder), bucket, folder };
}

function storeOf(bucket: Bucket, folder: string): S3RecordingStore {
  return new S3RecordingStore({ bucket, stage: new StageFolder(folder), prefix: "recordings/", logger: silentLogger });
}

async function openS3rver(): Promise<{ readonly bucket: Bucket; close(): Promise<void> }> {
  const server = await startS3rver();
  const client = s3Client(server.settings);
  return {
    bucket: new S3Bucket(client, server.settings, { now: () => new Date() }),
    async close() {
      client.destroy();
      await server.close();
    },
  };
}

/** The bucket as a process sees it that dies at a call: nothing works any more from then on. */
function crashAt(bucket: FakeBucket, step: string, moment: "before" | "after"): Bucket {
  let isDead = false;
  return new Proxy<Bucket>(bucket, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== "function") return method;
      return async (...args: unknown[]) => {
        if (isDead || (name === step && moment === "before")) isDead = true;
        if (isDead) throw new Error("the process is dead");
        const answer: unknown = await method.apply(target, args);
        if (name === step) isDead = true;
        if (isDead) throw new Error("the process is dead");
        return answer;
      };
    },
  });
}
