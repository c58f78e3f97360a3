import { S3Client } from "@aws-sdk/client-s3";
import type { S3Settings } from "./s3-settings.js";

/** A client for the bucket of the settings. Opens nothing before its first request. */
export function s3Client({ region, endpoint, usesPathStyle, credentials }: S3Settings): S3Client {
  return new S3Client({
    region,
    forcePathStyle: usesPathStyle,
    maxAttempts: 3,
    requestHandler: { connectionTimeout: 5_000, requestTimeout: 60_000, throwOnRequestTimeout: true },
    // Not every store knows the newer checksums; ours is Content-MD5, which all do.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    ...(endpoint === null ? {} : { endpoint }),
    ...(credentials === null
      ? {}
      : { credentials: { accessKeyId: credentials.accessKeyId, secretAccessKey: credentials.secretAccessKey.expose() } }),
  });
}
