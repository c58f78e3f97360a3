import assert from "node:assert/strict";
import { test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { testBucket } from "../contracts/bucket.js";
import { FakeBucket } from "./bucket.js";

testBucket("fake", async () => ({ bucket: new FakeBucket(), close: async () => undefined }));

test("cannot be reached while it is away", async () => {
  const bucket = new FakeBucket();
  bucket.isAway = true;
  await assert.rejects(bucket.head("x"), (error) => isMezError(error, "BUCKET_UNAVAILABLE"));
});
