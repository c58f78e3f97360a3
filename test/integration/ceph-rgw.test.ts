import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { HeadObjectCommand } from "@aws-sdk/client-s3";
import { Secret } from "../../core/plugin/secret.js";
import { S3RecordingStore } from "../../plugins/recording/s3/s3-recording-store.js";
import { StageFolder } from "../../plugins/recording/s3/stage-folder.js";
import { checkBucket } from "../../plugins/s3/bucket-check.js";
import { S3Bucket } from "../../plugins/s3/s3-bucket.js";
import { s3Client } from "../../plugins/s3/s3-client.js";
import type { S3Settings } from "../../plugins/s3/s3-settings.js";
import { testBucket } from "../contracts/bucket.js";
import { testRecordingStore } from "../contracts/recording-store.js";
import { silentLogger } from "../fixtures/silent-logger.js";
import { KMS_KEY_ID, RadosGateway } from "../peers/radosgw.js";
import { needsPeers } from "../peers/require-peer.js";
import { testIam } from "./ceph-iam.js";

const PEERS = needsPeers(
  "radosgw",
  "radosgw-admin",
  "ceph-mon",
  "ceph-osd",
  "ceph-mgr",
  "ceph",
  "ceph-authtool",
  "monmaptool",
  "rados",
  "aws",
);
const clock = { now: () => new Date() };

describe("Ceph RGW", PEERS, () => {
  let gateway: RadosGateway;
  before(async () => {
    gateway = await RadosGateway.start("rec");
  });
  after(() => gateway?.stop());

  testBucket("Ceph RGW", async () => {
    const client = s3Client(gateway.settings);
    return { bucket: new S3Bucket(client, gateway.settings, clock), close: async () => client.destroy() };
  });

  testRecordingStore("s3 in Ceph RGW", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mezite-stage-"));
    const client = s3Client(gateway.settings);
    const bucket = new S3Bucket(client, gateway.settings, clock);
    const open = () => new S3RecordingStore({ bucket, stage: new StageFolder(folder), prefix: "rec/", logger: silentLogger });
    return {
      store: open(),
      reopen: async () => open(),
      close: async () => {
        client.destroy();
        rmSync(folder, { recursive: true });
      },
    };
  });

  test("a locked recording of several parts stays what it is", async (t) => {
    const settings: S3Settings = { ...gateway.settings, lock: { mode: "COMPLIANCE", days: 1 } };
    const client = s3Client(settings);
    t.after(() => client.destroy());
    const bucket = new S3Bucket(client, settings, clock);
    await checkBucket({ client, bucket, settings, logger: silentLogger });
    const folder = mkdtempSync(join(tmpdir(), "mezite-stage-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const store = new S3RecordingStore({ bucket, stage: new StageFolder(folder), prefix: "", logger: silentLogger });
    const [id, bytes] = [randomUUID(), randomBytes(9 * 1024 * 1024)];
    await store.append(id, 0, bytes);
    await store.complete(id);
    assert.ok((await buffer(await store.read(id))).equals(bytes));
    const head = await client.send(new HeadObjectCommand({ Bucket: settings.bucket, Key: `${id}.cast` }));
    assert.equal(head.ObjectLockMode, "COMPLIANCE");
    assert.ok((head.ObjectLockRetainUntilDate ?? new Date(0)) > new Date());
  });

  test("a recording that is to be encrypted is not readable where it is stored, and is when it is asked for", async (t) => {
    const recorded = async (encryption: S3Settings["encryption"]) => {
      const settings: S3Settings = { ...gateway.settings, encryption };
      const client = s3Client(settings);
      t.after(() => client.destroy());
      const bucket = new S3Bucket(client, settings, clock);
      await checkBucket({ client, bucket, settings, logger: silentLogger });
      const folder = mkdtempSync(join(tmpdir(), "mezite-stage-"));
      t.after(() => rmSync(folder, { recursive: true }));
      const store = new S3RecordingStore({ bucket, stage: new StageFolder(folder), prefix: "", logger: silentLogger });
      const id = randomUUID();
      const bytes = Buffer.alloc(9 * 1024 * 1024, "the terminal showed this");
      await store.append(id, 0, bytes);
      await store.complete(id);
      assert.ok((await buffer(await store.read(id))).equals(bytes));
      const head = await client.send(new HeadObjectCommand({ Bucket: settings.bucket, Key: `${id}.cast` }));
      const isReadable = (await gateway.stored(`${id}.cast`)).includes("the terminal showed this");
      return [head.ServerSideEncryption, head.SSEKMSKeyId, isReadable];
    };
    assert.deepEqual(await recorded({ algorithm: "aws:kms", kmsKeyId: KMS_KEY_ID }), ["aws:kms", KMS_KEY_ID, false]);
    assert.deepEqual(await recorded(null), [undefined, undefined, true]);
    await assert.rejects(recorded({ algorithm: "AES256", kmsKeyId: null }), /does not say that it encrypts with AES256/);
  });

  testIam(() => gateway);

  test("wrong credentials and a missing bucket are told apart", async (t) => {
    for (const [change, message] of [
      [{ bucket: "none" }, /cannot be used: it does not exist$/],
      [{ credentials: { ...wrong(gateway), accessKeyId: "NOBODY" } }, /its owner does not know the access key$/],
      [{ credentials: wrong(gateway) }, /the secret access key is wrong$/],
    ] as const) {
      const settings: S3Settings = { ...gateway.settings, ...change };
      const client = s3Client(settings);
      t.after(() => client.destroy());
      const bucket = new S3Bucket(client, settings, clock);
      await assert.rejects(checkBucket({ client, bucket, settings, logger: silentLogger }), message);
    }
  });
});

// --- internal ---

function wrong({ settings }: RadosGateway): NonNullable<S3Settings["credentials"]> {
  return { accessKeyId: settings.credentials?.accessKeyId ?? "", secretAccessKey: new Secret("WRONG") };
}
