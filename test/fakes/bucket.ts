import { createHash, randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import { MezError } from "../../core/errors/error.js";
import type { Bucket, StoredObject, Upload } from "../../plugins/s3/api.js";

/** A bucket that works, keeps everything in memory, and can be away or forget. */
export class FakeBucket implements Bucket {
  readonly name = "fake";
  readonly objects = new Map<string, Buffer>();
  readonly uploads = new Map<string, { readonly key: string; readonly parts: Map<number, Buffer> }>();
  /** Every call that came through, e.g. `uploadPart recordings/x 1`. */
  readonly calls: string[] = [];
  isAway = false;
  /** Called before each call, e.g. to break one in the middle. */
  beforeCall: (call: string) => void = () => undefined;

  async put(key: string, bytes: Uint8Array): Promise<void> {
    this.#enter(`put ${key}`);
    this.objects.set(key, Buffer.from(bytes));
  }

  async head(key: string): Promise<StoredObject | null> {
    this.#enter(`head ${key}`);
    const bytes = this.objects.get(key);
    return bytes === undefined ? null : { key, sizeBytes: bytes.length };
  }

  async read(key: string, range?: { readonly start: number; readonly length: number }): Promise<Readable> {
    this.#enter(`read ${key}`);
    const bytes = this.objects.get(key);
    if (bytes === undefined) throw missing(key);
    return Readable.from([range === undefined ? bytes : bytes.subarray(range.start, range.start + range.length)]);
  }

  async *list(prefix: string): AsyncIterable<StoredObject> {
    this.#enter(`list ${prefix}`);
    for (const key of [...this.objects.keys()].filter((each) => each.startsWith(prefix)).sort())
      yield { key, sizeBytes: this.objects.get(key)?.length ?? 0 };
  }

  async delete(key: string): Promise<void> {
    this.#enter(`delete ${key}`);
    this.objects.delete(key);
  }

  async beginUpload(key: string): Promise<string> {
    this.#enter(`beginUpload ${key}`);
    const id = randomUUID();
    this.uploads.set(id, { key, parts: new Map() });
    return id;
  }

  async uploadPart({ key, uploadId }: Upload, number: number, bytes: Uint8Array): Promise<string> {
    this.#enter(`uploadPart ${key} ${number}`);
    this.#upload(uploadId, key).parts.set(number, Buffer.from(bytes));
    return tagOf(bytes);
  }

  async completeUpload({ key, uploadId }: Upload, tags: readonly string[]): Promise<void> {
    this.#enter(`completeUpload ${key}`);
    const { parts } = this.#upload(uploadId, key);
    const chosen = tags.map((tag, index) => {
      const part = parts.get(index + 1);
      const isLast = index === tags.length - 1;
      if (part === undefined || tagOf(part) !== tag || (!isLast && part.length < MIN_PART_BYTES))
        throw new MezError("BUCKET_REFUSED", `part ${index + 1} of ${key} is missing, another, or too small`);
      return part;
    });
    this.uploads.delete(uploadId);
    this.objects.set(key, Buffer.concat(chosen));
  }

  async protect(key: string): Promise<void> {
    this.#enter(`protect ${key}`);
  }

  async abortUpload({ key, uploadId }: Upload): Promise<void> {
    this.#enter(`abortUpload ${key}`);
    this.uploads.delete(uploadId);
  }

  #upload(uploadId: string, key: string): { readonly parts: Map<number, Buffer> } {
    const upload = this.uploads.get(uploadId);
    if (upload === undefined || upload.key !== key) throw missing(`upload of ${key}`);
    return upload;
  }

  #enter(call: string): void {
    if (this.isAway) throw new MezError("BUCKET_UNAVAILABLE", 'bucket "fake" cannot be reached: it is away');
    this.beforeCall(call);
    this.calls.push(call);
  }
}

// --- internal ---

const MIN_PART_BYTES = 5 * 1024 * 1024; // the least that S3 takes, except in the last part

function missing(what: string): MezError {
  return new MezError("NOT_FOUND", `bucket "fake" has no ${what}`);
}

function tagOf(bytes: Uint8Array): string {
  return `"${createHash("md5").update(bytes).digest("hex")}"`;
}
