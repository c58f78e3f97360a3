import type { S3Client } from "@aws-sdk/client-s3";
import { definePlugin, type Resolve } from "../../core/plugin/contract.js";
import { LOGGER } from "../../core/plugin/logger.js";
import { CLOCK } from "../../core/plugin/process.js";
import { BUCKET } from "./api.js";
import { checkBucket } from "./bucket-check.js";
import { S3Bucket } from "./s3-bucket.js";
import { s3Client } from "./s3-client.js";
import { type S3Config, s3Settings } from "./s3-settings.js";

export default definePlugin<S3Config>({
  register(host, config) {
    const settings = s3Settings(config);
    let made: { readonly client: S3Client; readonly bucket: S3Bucket } | undefined;
    const parts = (resolve: Resolve) => {
      if (made === undefined) {
        const client = s3Client(settings);
        made = { client, bucket: new S3Bucket(client, settings, resolve(CLOCK)) };
      }
      return made;
    };
    host.provide(BUCKET, (resolve) => parts(resolve).bucket);
    host.run((resolve) => ({
      start: () => checkBucket({ ...parts(resolve), settings, logger: resolve(LOGGER) }),
      dispose: async () => made?.client.destroy(),
    }));
  },
});
