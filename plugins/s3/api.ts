import type { Readable } from "node:stream";
import type { ServiceToken } from "../../core/plugin/contract.js";

/** What a bucket holds under a key. */
export interface StoredObject {
  readonly key: string;
  readonly sizeBytes: number;
}

/**
 * The bucket of the cluster, in S3 or a store that speaks its protocol. Keys begin where the caller says; encryption and
 * retention are the bucket's business. Every call may throw `BUCKET_UNAVAILABLE`, worth trying again later, and
 * `BUCKET_REFUSED`, which an operator has to see to.
 */
export interface Bucket {
  readonly name: string;
  /** Writes one object of at most 5 GiB, whole or not at all. */
  put(key: string, bytes: Uint8Array, contentType?: string): Promise<void>;
  /** `null` when there is none. */
  head(key: string): Promise<StoredObject | null>;
  /**
   * @param range First byte and number of bytes.
   * @throws {MezError} `NOT_FOUND`
   */
  read(key: string, range?: { readonly start: number; readonly length: number }): Promise<Readable>;
  /** In the order of their keys. */
  list(prefix: string): AsyncIterable<StoredObject>;
  /** An unknown key is no error. What object lock protects is only hidden. */
  delete(key: string): Promise<void>;
  /** Begins an object that is sent in parts. @returns Its upload id. */
  beginUpload(key: string, contentType?: string): Promise<string>;
  /**
   * Sends a part; sent again, it takes the earlier one's place.
   * @param number From 1 to 10000.
   * @param bytes At least 5 MiB, except in the last part.
   * @returns The part's tag, which `completeUpload` wants back.
   * @throws {MezError} `NOT_FOUND` for an upload that is over or was given up
   */
  uploadPart(upload: Upload, number: number, bytes: Uint8Array): Promise<string>;
  /** Makes one object of the parts. @param tags In the order of the parts. @throws {MezError} `NOT_FOUND` as `uploadPart` */
  completeUpload(upload: Upload, tags: readonly string[]): Promise<void>;
  /**
   * Locks an object that was made of parts, where the configuration asks for it: some stores forget that between its
   * beginning and its end. May be called twice.
   */
  protect(key: string): Promise<void>;
  /** Throws the parts away. An unknown upload is no error. */
  abortUpload(upload: Upload): Promise<void>;
}

export interface Upload {
  readonly key: string;
  readonly uploadId: string;
}

/** On the auth service. */
export const BUCKET: ServiceToken<Bucket> = { id: "bucket", version: 1 };
