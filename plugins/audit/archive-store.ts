/** Where archived events lie: a folder, or a bucket. Keys are paths with slashes. */
export interface ArchiveStore {
  /** Tells this place from others, e.g. `s3:mezite-logs/audit/`. */
  readonly name: string;
  /** Writes all of it or nothing, over what is there. @throws {MezError} `STORAGE_FULL`, `STORAGE_UNWRITABLE`, `BUCKET_REFUSED`, `BUCKET_UNAVAILABLE` */
  put(key: string, bytes: Uint8Array, contentType: string): Promise<void>;
  /** `null` when there is nothing under the key. */
  read(key: string): Promise<Buffer | null>;
  /** In bytes; `null` when there is nothing under the key. */
  size(key: string): Promise<number | null>;
  /** Every key, in no particular order. */
  keys(): AsyncIterable<string>;
}
