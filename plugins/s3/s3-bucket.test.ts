import assert from "node:assert/strict";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import type { ErrorCode } from "../../core/errors/codes.js";
import { isMezError } from "../../core/errors/error.js";
import { Secret } from "../../core/plugin/secret.js";
import { testBucket } from "../../test/contracts/bucket.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { startS3rver } from "../../test/peers/s3rver.js";
import { checkBucket } from "./bucket-check.js";
import { S3Bucket } from "./s3-bucket.js";
import { s3Client } from "./s3-client.js";
import type { S3Settings } from "./s3-settings.js";

const clock = { now: () => new Date("2026-03-01T12:00:00Z") };

testBucket(
  "s3rver",
  async () => {
    const server = await startS3rver();
    const client = s3Client(server.settings);
    return {
      bucket: new S3Bucket(client, server.settings, clock),
      close: async () => {
        client.destroy();
        await server.close();
      },
    };
  },
  { forgetsUploads: false },
);

test("asks for encryption and retention with each object, and sends its MD5", async (t) => {
  const { settings, seen } = await listening(
    t,
    200,
    "<InitiateMultipartUploadResult><UploadId>7</UploadId></InitiateMultipartUploadResult>",
  );
  const bucket = open(t, {
    ...settings,
    encryption: { algorithm: "aws:kms", kmsKeyId: "key-1" },
    lock: { mode: "COMPLIANCE", days: 30 },
  });
  await bucket.put("a", Buffer.from("abc"));
  await bucket.beginUpload("b");
  for (const headers of seen) {
    assert.equal(headers["x-amz-server-side-encryption"], "aws:kms");
    assert.equal(headers["x-amz-server-side-encryption-aws-kms-key-id"], "key-1");
    assert.equal(headers["x-amz-object-lock-mode"], "COMPLIANCE");
    assert.equal(headers["x-amz-object-lock-retain-until-date"], "2026-03-31T12:00:00Z");
  }
  assert.equal(seen[0]?.["content-md5"], "kAFQmDzST7DWlj99KOF/cg==");
});

test("a store that passes over the demand for encryption is refused, before a recording goes there", async (t) => {
  const { settings, seen } = await listening(
    t,
    200,
    "<InitiateMultipartUploadResult><UploadId>7</UploadId></InitiateMultipartUploadResult>",
    { repeatsEncryption: false },
  );
  const asking: S3Settings = { ...settings, encryption: { algorithm: "AES256", kmsKeyId: null } };
  const client = s3Client(asking);
  t.after(() => client.destroy());
  await assert.rejects(
    checkBucket({ client, bucket: new S3Bucket(client, asking, clock), settings: asking, logger: silentLogger }),
    (error) => isMezError(error, "BUCKET_REFUSED") && /does not say that it encrypts with AES256/.test(error.message),
  );
  assert.equal(seen.length, 2); // begun and given up
  await assert.rejects(open(t, asking).put("a", Buffer.from("x")), (error) => isMezError(error, "BUCKET_REFUSED"));
});

for (const [status, name, code, message] of [
  [404, "NoSuchBucket", "BUCKET_REFUSED", /^bucket "rec" at http:\/\/127\.0\.0\.1:\d+ cannot be used: it does not exist$/],
  [403, "InvalidAccessKeyId", "BUCKET_REFUSED", /its owner does not know the access key$/],
  [403, "SignatureDoesNotMatch", "BUCKET_REFUSED", /the secret access key is wrong$/],
  [403, "AccessDenied", "BUCKET_REFUSED", /the credentials do not allow it \(AccessDenied\)$/],
  [301, "PermanentRedirect", "BUCKET_REFUSED", /it is not in region us-east-1$/],
  [400, "InvalidRequest", "BUCKET_REFUSED", /InvalidRequest: no$/],
  [503, "SlowDown", "BUCKET_UNAVAILABLE", /cannot be reached: no$/],
] as const satisfies readonly (readonly [number, string, ErrorCode, RegExp])[]) {
  test(`${status} ${name} is ${code}, in one line`, async (t) => {
    const { settings } = await listening(t, status, `<Error><Code>${name}</Code><Message>no</Message></Error>`);
    await assert.rejects(open(t, settings).put("a", Buffer.from("x")), (error) => {
      assert.ok(isMezError(error, code), String(error));
      assert.match(error.message, message);
      return true;
    });
  });
}

test("at the start a bucket that is missing is an error, and one that is down is not", async (t) => {
  const server = await startS3rver();
  t.after(() => server.close());
  const check = (settings: S3Settings) => {
    const client = s3Client(settings);
    t.after(() => client.destroy());
    return checkBucket({ client, bucket: new S3Bucket(client, settings, clock), settings, logger: silentLogger });
  };
  await check(server.settings);
  await assert.rejects(check({ ...server.settings, bucket: "none" }), (error) => isMezError(error, "BUCKET_REFUSED"));
  await assert.rejects(
    check({ ...server.settings, lock: { mode: "GOVERNANCE", days: 1 } }),
    (error) => isMezError(error, "BUCKET_REFUSED") && /has no object lock/.test(error.message),
  );
  await check({ ...server.settings, endpoint: "http://127.0.0.1:9" });
});

/** A store that answers everything in one way. */
async function listening(
  t: TestContext,
  status: number,
  body: string,
  { repeatsEncryption = true }: { readonly repeatsEncryption?: boolean } = {},
): Promise<{ readonly settings: S3Settings; readonly seen: IncomingHttpHeaders[] }> {
  const seen: IncomingHttpHeaders[] = [];
  const server = createServer((request, response) => {
    request.resume().once("end", () => {
      seen.push(request.headers);
      const encryption = repeatsEncryption ? request.headers["x-amz-server-side-encryption"] : undefined;
      if (encryption !== undefined) response.setHeader("x-amz-server-side-encryption", encryption);
      response.writeHead(status, { "content-type": "application/xml", etag: '"1"' }).end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const credentials = { accessKeyId: "AK", secretAccessKey: new Secret("SK") };
  return {
    seen,
    settings: { bucket: "rec", region: "us-east-1", endpoint, usesPathStyle: true, credentials, encryption: null, lock: null },
  };
}

function open(t: TestContext, settings: S3Settings): S3Bucket {
  const client = s3Client(settings);
  t.after(() => client.destroy());
  return new S3Bucket(client, settings, clock);
}
