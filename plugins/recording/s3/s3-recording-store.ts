import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { toDiskError } from "../../../core/errors/disk-error.js";
import { isMezError, MezError, messageOf } from "../../../core/errors/error.js";
import type { Lifecycle } from "../../../core/plugin/contract.js";
import type { Logger } from "../../../core/plugin/logger.js";
import { type RecordingStore, requireRecordingId } from "../../../core/ports/recording-store.js";
import type { Bucket } from "../../s3/api.js";
import { InTurn } from "./in-turn.js";
import { RecordingTransfer } from "./recording-transfer.js";
import { requireSame, type StageFolder } from "./stage-folder.js";
import { PART_BYTES } from "./transfer.js";

export interface S3RecordingStoreParts {
  readonly bucket: Bucket;
  readonly stage: StageFolder;
  readonly prefix: string;
  readonly logger: Logger;
  /** How often what waits is tried again. Default 15000. */
  readonly retryMs?: number;
  /** How often a recording that is on the stage and has not ended is looked for in the bucket. Default 300000. */
  readonly lookMs?: number;
  /** How long `complete` waits for the bucket. Default 12000, within the time limit of a call. */
  readonly patienceMs?: number;
}

/**
 * Keeps recordings as objects of a bucket. What arrives is put on the stage, a folder of this server, and goes on to the
 * bucket in parts while the session runs; a recording is complete when its object is there, and until then its recorder
 * keeps its own copy. While the bucket is away everything waits, here and there.
 *
 * Where auth servers share a database each has a stage. A recorder that turns to another server begins anew there; what the first
 * one holds goes when the object is there.
 */
export class S3RecordingStore implements RecordingStore, Lifecycle {
  readonly #transfer: RecordingTransfer;
  /** Work on the stage is quick, work on the bucket is not: nobody who adds bytes waits for the network. */
  readonly #stageTurns = new InTurn();
  readonly #bucketTurns = new InTurn();
  #timer: NodeJS.Timeout | null = null;
  /** The bucket was away when it was last asked. */
  #isTroubled = false;
  #isRetrying = false;
  readonly #refused = new Set<string>();
  /** When recordings on the stage were looked for in the bucket, on the monotonic clock. */
  readonly #looked = new Map<string, number>();

  constructor(private readonly parts: S3RecordingStoreParts) {
    this.#transfer = new RecordingTransfer({ bucket: parts.bucket, stage: parts.stage, keyOf: (id) => this.#key(id) });
  }

  /** Goes on with what an earlier process left. */
  async start(): Promise<void> {
    this.#timer = setInterval(() => void this.retry(), this.parts.retryMs ?? 15_000).unref();
    void this.retry();
  }

  async dispose(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    const late = new Promise<void>((resolve) => setTimeout(resolve, DISPOSE_MS).unref());
    await Promise.race([this.#bucketTurns.idle(), late]); // what is cut short is done again
  }

  append(id: string, offset: number, bytes: Uint8Array): Promise<number> {
    this.#key(id);
    return this.#staged(id, async () => {
      const { stage } = this.parts;
      const held = await stage.size(id);
      if (held === null && (offset > 0 || (await this.#isMade(id)))) return this.#appendToObject(id, offset, bytes);
      if (held === null) this.#looked.set(id, performance.now());
      if (offset + bytes.length > (held ?? 0) && (await stage.hasEnded(id)))
        throw new MezError("CONFLICT", `recording ${id} is complete with ${held ?? 0} bytes`);
      const now = await stage.append(id, offset, bytes);
      if (Math.floor(now / PART_BYTES) > Math.floor((held ?? 0) / PART_BYTES))
        this.#inBackground(id, () => this.#transfer.advance(id));
      return now;
    });
  }

  async size(id: string): Promise<number> {
    const key = this.#key(id);
    return (await this.parts.stage.size(id)) ?? (await this.parts.bucket.head(key))?.sizeBytes ?? 0;
  }

  /** @throws {MezError} `STORAGE_UNWRITABLE` while the bucket is away: whoever has the recording keeps it. */
  async complete(id: string): Promise<void> {
    const key = this.#key(id);
    const isStaged = await this.#staged(id, async () => {
      const { stage, bucket } = this.parts;
      if ((await stage.size(id)) === null && (await bucket.head(key)) !== null) return false;
      await stage.append(id, 0, Buffer.alloc(0));
      await stage.markEnded(id);
      return true;
    });
    if (!isStaged) return;
    const finished = this.#bucketTurns.run(id, () => this.#finish(id));
    const late = new Promise<"late">((resolve) => setTimeout(resolve, this.parts.patienceMs ?? 12_000, "late").unref());
    try {
      if ((await Promise.race([finished, late])) !== "late") return;
    } catch (error) {
      if (!isMezError(error, "BUCKET_UNAVAILABLE", "BUCKET_REFUSED")) throw error;
      throw new MezError("STORAGE_UNWRITABLE", `recording ${id} waits: ${error.message}`, { cause: error });
    }
    finished.catch((error: unknown) => this.#trouble(error));
    throw new MezError("STORAGE_UNWRITABLE", `recording ${id} is on its way into the bucket`);
  }

  async read(id: string): Promise<Readable> {
    const key = this.#key(id);
    const staged = (await this.#isSuperseded(id)) ? null : await this.parts.stage.read(id);
    if (staged !== null) return staged;
    try {
      return await this.parts.bucket.read(key);
    } catch (error) {
      if (isMezError(error, "NOT_FOUND")) throw new MezError("NOT_FOUND", `there is no recording ${id}`, { cause: error });
      throw error;
    }
  }

  async delete(id: string): Promise<void> {
    const key = this.#key(id);
    await this.#bucketTurns.run(id, async () => {
      await this.#forget(id);
      await this.parts.bucket.delete(key);
    });
  }

  /** Sends everything that waits, one recording after the other; stops at the first sign that the bucket is away. */
  async retry(): Promise<void> {
    if (this.#isRetrying) return;
    this.#isRetrying = true;
    try {
      if (this.#isTroubled) await this.parts.bucket.head(`${this.parts.prefix}${PROBE}`);
      for (const id of await this.parts.stage.ids()) await this.#bucketTurns.run(id, () => this.#goOn(id));
      if (this.#isTroubled) this.parts.logger.info("recordings reach the bucket again");
      this.#isTroubled = false;
    } catch (error) {
      this.#trouble(error);
    } finally {
      this.#isRetrying = false;
    }
  }

  async #goOn(id: string): Promise<void> {
    try {
      if (await this.parts.stage.hasEnded(id)) await this.#finish(id);
      else if (this.#isDue(id) && (await this.#isSuperseded(id))) await this.#forget(id);
      else await this.#transfer.advance(id);
      this.#refused.delete(id);
    } catch (error) {
      if (isMezError(error, "BUCKET_UNAVAILABLE")) throw error;
      if (!this.#refused.has(id))
        this.parts.logger.error("a recording does not reach the bucket", { id, error: messageOf(error) });
      this.#refused.add(id);
    }
  }

  /** A recording that was finished meanwhile has nothing on the stage. */
  async #finish(id: string): Promise<void> {
    if ((await this.parts.stage.size(id)) === null) return;
    await this.#transfer.finish(id);
    await this.#staged(id, () => this.parts.stage.remove(id));
    this.#looked.delete(id);
  }

  #isDue(id: string): boolean {
    return performance.now() - (this.#looked.get(id) ?? Number.NEGATIVE_INFINITY) >= (this.parts.lookMs ?? 300_000);
  }

  /** Whether what is on the stage is the beginning of a recording that another server has brought into the bucket. */
  async #isSuperseded(id: string): Promise<boolean> {
    const { stage } = this.parts;
    if ((await stage.size(id)) === null || (await stage.hasEnded(id))) return false;
    const isMade = await this.#isMade(id);
    this.#looked.set(id, performance.now());
    return isMade;
  }

  async #forget(id: string): Promise<void> {
    await this.#transfer.abandon(id);
    await this.#staged(id, () => this.parts.stage.remove(id));
    this.#looked.delete(id);
  }

  /** Whether the bucket has the whole recording. While it is away, nobody knows; `finish` looks again. */
  async #isMade(id: string): Promise<boolean> {
    if (this.#isTroubled) return false;
    try {
      return (await this.parts.bucket.head(this.#key(id))) !== null;
    } catch (error) {
      if (!isMezError(error, "BUCKET_UNAVAILABLE", "BUCKET_REFUSED")) throw error;
      this.#trouble(error);
      return false;
    }
  }

  /** Bytes of a recording that is in the bucket already: they have to be the same. */
  async #appendToObject(id: string, offset: number, bytes: Uint8Array): Promise<number> {
    const { bucket } = this.parts;
    const key = this.#key(id);
    const sizeBytes = (await bucket.head(key))?.sizeBytes ?? 0;
    if (bytes.length === 0 && offset === sizeBytes) return sizeBytes;
    if (offset + bytes.length > sizeBytes)
      throw new MezError("CONFLICT", `recording ${id} has ${sizeBytes} bytes; ${offset + bytes.length} cannot be added to`);
    requireSame(id, await buffer(await bucket.read(key, { start: offset, length: bytes.length })), bytes);
    return sizeBytes;
  }

  #inBackground(id: string, work: () => Promise<void>): void {
    this.#bucketTurns.run(id, work).catch((error: unknown) => this.#trouble(error));
  }

  async #staged<T>(id: string, work: () => Promise<T>): Promise<T> {
    try {
      return await this.#stageTurns.run(id, work);
    } catch (error) {
      throw toDiskError(error, `recording ${id}`);
    }
  }

  #trouble(error: unknown): void {
    if (this.#isTroubled) return;
    this.#isTroubled = true;
    this.parts.logger.warn("recordings wait for the bucket", { error: messageOf(error) });
  }

  /** Ids come over the network: nothing that could leave the folder or the prefix gets through. */
  #key(id: string): string {
    return `${this.parts.prefix}${requireRecordingId(id)}.cast`;
  }
}

// --- internal ---

/** Never there: the answer alone counts. */
const PROBE = "mezite-probe";
const DISPOSE_MS = 8_000;
