import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import type { S3Client } from "@aws-sdk/client-s3";
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  PutObjectRetentionCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { isMezError, MezError } from "../../core/errors/error.js";
import type { Clock } from "../../core/time/clock.js";
import type { Bucket, StoredObject, Upload } from "./api.js";
import { toBucketError } from "./s3-error.js";
import type { S3Settings } from "./s3-settings.js";

/** A bucket behind the SDK's client. Every piece that is sent carries its MD5, which every store checks. */
export class S3Bucket implements Bucket {
  constructor(
    private readonly client: S3Client,
    private readonly settings: S3Settings,
    private readonly clock: Clock,
  ) {}

  get name(): string {
    return this.settings.bucket;
  }

  async put(key: string, bytes: Uint8Array, contentType = BINARY): Promise<void> {
    const input = { ...this.#at(key), ...this.#protection(), Body: bytes, ContentType: contentType, ContentMD5: md5(bytes) };
    const { ServerSideEncryption } = await this.#try(key, () => this.client.send(new PutObjectCommand(input)));
    this.#requireEncryption(ServerSideEncryption);
  }

  async head(key: string): Promise<StoredObject | null> {
    try {
      const found = await this.#try(key, () => this.client.send(new HeadObjectCommand(this.#at(key))));
      return { key, sizeBytes: found.ContentLength ?? 0 };
    } catch (error) {
      if (isMezError(error, "NOT_FOUND")) return null;
      throw error;
    }
  }

  async read(key: string, range?: { readonly start: number; readonly length: number }): Promise<Readable> {
    const bytes = range === undefined ? {} : { Range: `bytes=${range.start}-${range.start + range.length - 1}` };
    const { Body } = await this.#try(key, () => this.client.send(new GetObjectCommand({ ...this.#at(key), ...bytes })));
    if (Body instanceof Readable) return Body;
    throw new MezError("BUCKET_UNAVAILABLE", `bucket "${this.name}" answered without the bytes of ${key}`);
  }

  async *list(prefix: string): AsyncIterable<StoredObject> {
    let token: string | undefined;
    do {
      const more = token === undefined ? {} : { ContinuationToken: token };
      const input = { Bucket: this.name, Prefix: prefix, ...more };
      const page = await this.#try(prefix, () => this.client.send(new ListObjectsV2Command(input)));
      for (const { Key: key, Size: sizeBytes = 0 } of page.Contents ?? []) if (key !== undefined) yield { key, sizeBytes };
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  async delete(key: string): Promise<void> {
    await this.#calmly(key, () => this.client.send(new DeleteObjectCommand(this.#at(key))));
  }

  async beginUpload(key: string, contentType = BINARY): Promise<string> {
    const input = { ...this.#at(key), ...this.#protection(), ContentType: contentType };
    const begun = await this.#try(key, () => this.client.send(new CreateMultipartUploadCommand(input)));
    const { UploadId: uploadId, ServerSideEncryption } = begun;
    if (uploadId === undefined) throw new MezError("BUCKET_UNAVAILABLE", `bucket "${this.name}" began no upload of ${key}`);
    try {
      this.#requireEncryption(ServerSideEncryption);
    } catch (error) {
      await this.abortUpload({ key, uploadId });
      throw error;
    }
    return uploadId;
  }

  async uploadPart({ key, uploadId }: Upload, number: number, bytes: Uint8Array): Promise<string> {
    const input = { ...this.#at(key), UploadId: uploadId, PartNumber: number, Body: bytes, ContentMD5: md5(bytes) };
    const { ETag } = await this.#try(key, () => this.client.send(new UploadPartCommand(input)));
    return ETag ?? "";
  }

  async completeUpload({ key, uploadId }: Upload, tags: readonly string[]): Promise<void> {
    const Parts = tags.map((ETag, index) => ({ ETag, PartNumber: index + 1 }));
    const input = { ...this.#at(key), UploadId: uploadId, MultipartUpload: { Parts } };
    await this.#try(key, () => this.client.send(new CompleteMultipartUploadCommand(input)));
  }

  async protect(key: string): Promise<void> {
    const { ObjectLockMode: Mode, ObjectLockRetainUntilDate: RetainUntilDate } = this.#protection();
    if (Mode === undefined) return;
    const input = { ...this.#at(key), Retention: { Mode, RetainUntilDate } };
    await this.#try(key, () => this.client.send(new PutObjectRetentionCommand(input)));
  }

  async abortUpload({ key, uploadId }: Upload): Promise<void> {
    const command = new AbortMultipartUploadCommand({ ...this.#at(key), UploadId: uploadId });
    try {
      await this.#calmly(key, () => this.client.send(command));
    } catch (error) {
      // Some small stores cannot: the parts are waste, and no harm.
      if (!isMezError(error, "BUCKET_REFUSED") || error.fields.unsupported !== true) throw error;
    }
  }

  #at(key: string): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.name, Key: key };
  }

  /** Stores that do not know a demand for encryption pass over it in silence; those that do, repeat it in the answer. */
  #requireEncryption(answered: string | undefined): void {
    const asked = this.settings.encryption?.algorithm;
    if (asked === undefined || asked === answered) return;
    throw new MezError(
      "BUCKET_REFUSED",
      `bucket "${this.name}" does not say that it encrypts with ${asked}, which plugins.s3.config.encryption asks for; leave that empty where the store encrypts by itself`,
    );
  }

  /** Encryption and retention, where the configuration asks for them. */
  #protection() {
    const { encryption, lock } = this.settings;
    const until = lock === null ? null : new Date(this.clock.now().getTime() + lock.days * DAY_MS);
    return {
      ...(encryption === null ? {} : { ServerSideEncryption: encryption.algorithm }),
      ...(encryption?.kmsKeyId == null ? {} : { SSEKMSKeyId: encryption.kmsKeyId }),
      ...(lock === null || until === null ? {} : { ObjectLockMode: lock.mode, ObjectLockRetainUntilDate: until }),
    };
  }

  async #try<T>(key: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw toBucketError(error, this.settings, key);
    }
  }

  async #calmly(key: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await this.#try(key, work);
    } catch (error) {
      if (!isMezError(error, "NOT_FOUND")) throw error;
    }
  }
}

// --- internal ---

const BINARY = "application/octet-stream";
const DAY_MS = 86_400_000;

function md5(bytes: Uint8Array): string {
  return createHash("md5").update(bytes).digest("base64"); // RFC 1864; the store compares it
}
