import { GetObjectLockConfigurationCommand, type S3Client } from "@aws-sdk/client-s3";
import { isMezError, MezError } from "../../core/errors/error.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { S3Bucket } from "./s3-bucket.js";
import { toBucketError } from "./s3-error.js";
import type { S3Settings } from "./s3-settings.js";

export interface BucketCheckParts {
  readonly client: S3Client;
  readonly bucket: S3Bucket;
  readonly settings: S3Settings;
  readonly logger: Logger;
}

/**
 * Looks at the start whether the bucket is there and can be written. A store that is down is no reason not to start: what
 * goes to it waits.
 * @throws {MezError} `BUCKET_REFUSED`: it does not exist, the credentials are wrong, or it does not encrypt or lock as it should
 */
export async function checkBucket({ client, bucket, settings, logger }: BucketCheckParts): Promise<void> {
  if (settings.endpoint?.startsWith("http://") === true && !LOOPBACK.test(settings.endpoint))
    logger.warn("the connection to the bucket is not encrypted", { endpoint: settings.endpoint });
  try {
    // Begun and given up, an upload proves the right to write and leaves nothing behind, object lock or not.
    const uploadId = await bucket.beginUpload(CHECK_KEY);
    await bucket.abortUpload({ key: CHECK_KEY, uploadId });
    await bucket.head(CHECK_KEY); // without the right to list, what is missing looks like what is forbidden
    const hasLock = await hasObjectLock(client, settings);
    if (settings.lock !== null && !hasLock)
      throw new MezError(
        "BUCKET_REFUSED",
        `bucket "${settings.bucket}" has no object lock, which plugins.s3.config.object_lock asks for; it is switched on when a bucket is made`,
      );
    logger.info("bucket is ready", { bucket: settings.bucket, objectLock: hasLock });
  } catch (error) {
    if (!isMezError(error, "BUCKET_UNAVAILABLE")) throw error;
    logger.warn("the bucket cannot be reached; what goes to it waits", { error: error.message });
  }
}

// --- internal ---

const CHECK_KEY = "mezite-write-check";
const LOOPBACK = /^http:\/\/(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?:[:/]|$)/;

async function hasObjectLock(client: S3Client, settings: S3Settings): Promise<boolean> {
  try {
    const { ObjectLockConfiguration } = await client.send(new GetObjectLockConfigurationCommand({ Bucket: settings.bucket }));
    return ObjectLockConfiguration?.ObjectLockEnabled === "Enabled";
  } catch (error) {
    const known = toBucketError(error, settings, "object lock configuration");
    if (isMezError(known, "BUCKET_UNAVAILABLE")) throw known;
    return false; // not configured, not known to the store, or not for us to see
  }
}
