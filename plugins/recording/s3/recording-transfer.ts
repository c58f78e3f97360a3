import { isMezError, MezError } from "../../../core/errors/error.js";
import type { Bucket } from "../../s3/api.js";
import type { StageFolder } from "./stage-folder.js";
import { EMPTY_TRANSFER, type Transfer } from "./transfer.js";

export interface TransferParts {
  readonly bucket: Bucket;
  readonly stage: StageFolder;
  readonly keyOf: (id: string) => string;
}

/**
 * Brings a recording from the stage into the bucket, part by part. Each step is noted after it was done, and done again
 * after a crash: a part that is sent twice takes the place of the first.
 */
export class RecordingTransfer {
  constructor(private readonly parts: TransferParts) {}

  /** Sends the full parts that the bucket does not have yet. */
  async advance(id: string): Promise<void> {
    const { stage } = this.parts;
    const held = (await stage.size(id)) ?? 0;
    let transfer = await stage.transfer(id);
    while (held >= (transfer.tags.length + 1) * transfer.partBytes) transfer = await this.#sendNext(id, transfer, held);
  }

  /**
   * Sends the rest and makes the object, unless the bucket has it already; afterwards the stage may be forgotten.
   * @throws {MezError} `CONFLICT` when the bucket has another recording of that id
   */
  async finish(id: string): Promise<void> {
    const { bucket, stage, keyOf } = this.parts;
    const key = keyOf(id);
    const held = (await stage.size(id)) ?? 0;
    const there = await bucket.head(key);
    if (there === null) await this.#make(id, key, held);
    const made = there ?? (await bucket.head(key));
    if ((await stage.transfer(id)).uploadId !== null) await bucket.protect(key);
    if (made?.sizeBytes !== held)
      throw new MezError("CONFLICT", `${key} has ${made?.sizeBytes ?? 0} bytes in the bucket, and ${held} here`);
    if (there !== null) await this.abandon(id);
  }

  /** Throws away what the bucket has of an object that is not made. */
  async abandon(id: string): Promise<void> {
    const { bucket, stage, keyOf } = this.parts;
    const { uploadId } = await stage.transfer(id);
    if (uploadId === null) return;
    try {
      await bucket.abortUpload({ key: keyOf(id), uploadId });
    } catch (error) {
      if (!isMezError(error, "NOT_FOUND")) throw error; // it was completed, or thrown away
    }
  }

  async #make(id: string, key: string, held: number): Promise<void> {
    const { bucket, stage } = this.parts;
    let transfer = await stage.transfer(id);
    if (transfer.uploadId === null && held <= transfer.partBytes) {
      const bytes = held === 0 ? Buffer.alloc(0) : await stage.range(id, 0, held);
      return bucket.put(key, bytes, CONTENT_TYPE);
    }
    while (transfer.tags.length * transfer.partBytes < held) transfer = await this.#sendNext(id, transfer, held);
    try {
      await bucket.completeUpload({ key, uploadId: transfer.uploadId as string }, transfer.tags);
    } catch (error) {
      throw isMezError(error, "NOT_FOUND") ? await this.#forgotten(id) : error;
    }
  }

  /** @returns The transfer with one part more. */
  async #sendNext(id: string, { uploadId, ...transfer }: Transfer, held: number): Promise<Transfer> {
    const { bucket, stage, keyOf } = this.parts;
    const key = keyOf(id);
    const upload = { key, uploadId: uploadId ?? (await this.#begin(id, transfer)) };
    const start = transfer.tags.length * transfer.partBytes;
    const bytes = await stage.range(id, start, Math.min(transfer.partBytes, held - start));
    try {
      const tag = await bucket.uploadPart(upload, transfer.tags.length + 1, bytes);
      const next = { ...transfer, uploadId: upload.uploadId, tags: [...transfer.tags, tag] };
      await stage.saveTransfer(id, next);
      return next;
    } catch (error) {
      throw isMezError(error, "NOT_FOUND") ? await this.#forgotten(id) : error;
    }
  }

  async #begin(id: string, transfer: Omit<Transfer, "uploadId">): Promise<string> {
    const { bucket, stage, keyOf } = this.parts;
    const uploadId = await bucket.beginUpload(keyOf(id), CONTENT_TYPE);
    await stage.saveTransfer(id, { ...transfer, uploadId });
    return uploadId;
  }

  /** Rules of a bucket throw old uploads away. Everything is here still, so the next try begins anew. */
  async #forgotten(id: string): Promise<MezError> {
    await this.parts.stage.saveTransfer(id, EMPTY_TRANSFER);
    return new MezError("BUCKET_UNAVAILABLE", `the bucket has forgotten the parts of recording ${id}; they are sent again`);
  }
}

// --- internal ---

const CONTENT_TYPE = "application/x-asciicast";
