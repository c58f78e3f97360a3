import { buffer } from "node:stream/consumers";
import { isMezError } from "../../core/errors/error.js";
import type { Bucket } from "../s3/api.js";
import type { ArchiveStore } from "./archive-store.js";

/** Keeps archived events in the bucket of the cluster. */
export class BucketArchiveStore implements ArchiveStore {
  readonly name: string;

  /** @param prefix What keys begin with: empty, or ends in a slash. */
  constructor(
    private readonly bucket: Bucket,
    private readonly prefix: string,
  ) {
    this.name = `s3:${bucket.name}/${prefix}`;
  }

  put(key: string, bytes: Uint8Array, contentType: string): Promise<void> {
    return this.bucket.put(this.prefix + key, bytes, contentType);
  }

  async read(key: string): Promise<Buffer | null> {
    try {
      return await buffer(await this.bucket.read(this.prefix + key));
    } catch (error) {
      if (isMezError(error, "NOT_FOUND")) return null;
      throw error;
    }
  }

  async size(key: string): Promise<number | null> {
    return (await this.bucket.head(this.prefix + key))?.sizeBytes ?? null;
  }

  async *keys(): AsyncIterable<string> {
    for await (const { key } of this.bucket.list(this.prefix)) yield key.slice(this.prefix.length);
  }
}
