import { BLOCK_BYTES, HEADROOM_BYTES, releaseBlock, takeBlock } from "./block-store.js";
import type { Lender } from "./lent-memory.js";
import { SharedKeep } from "./shared-keep.js";

/** The first message of a TLS client fits. Where TLS takes over then, this is kept for nothing: ten thousand times at a proxy. */
const FIRST_BYTES = 2 * 1024;
/** What somebody types, and most of what is said before, fits. */
const SMALL_BYTES = 8 * 1024;
/** So many small reads in a row end a transfer. */
const SMALL_READS = 32;

/** The memory that one connection is read into: small at first, large and from a common store while much comes. */
export class ReadMemory implements Lender {
  #buffer: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #area: Buffer = this.#buffer;
  #smallReads = 0;
  /** Who keeps the memory of the moment; `null` for nobody. */
  #kept: SharedKeep | null = null;

  get memory(): ArrayBufferLike {
    return this.#buffer.buffer;
  }

  /** Where to read to. */
  get area(): Buffer {
    return this.#area;
  }

  keep(): () => void {
    const buffer = this.#buffer;
    this.#kept ??= new SharedKeep(() => {
      // Never the one that is read into.
      if (buffer === this.#buffer) this.#kept = null;
      else releaseBlock(buffer);
    });
    return this.#kept.keep();
  }

  /** Where to read to next, after a read of so many bytes. */
  after(length: number): Buffer {
    const isLarge = this.#buffer.length === BLOCK_BYTES;
    this.#smallReads = length < SMALL_BYTES ? this.#smallReads + 1 : 0;
    if (!isLarge && length === this.#area.length) this.#use(length < SMALL_BYTES ? smallMemory() : takeBlock());
    else if (isLarge && this.#smallReads >= SMALL_READS) {
      if (this.#kept === null) releaseBlock(this.#buffer);
      this.#use(smallMemory());
    } else if (this.#kept !== null) this.#use(isLarge ? takeBlock() : smallMemory());
    return this.#area;
  }

  /** Nothing is read any more. */
  close(): void {
    if (this.#kept === null) releaseBlock(this.#buffer);
    this.#use(Buffer.alloc(0));
  }

  #use(buffer: Buffer): void {
    this.#buffer = buffer;
    this.#area = buffer.length === BLOCK_BYTES ? buffer.subarray(HEADROOM_BYTES) : buffer;
    this.#kept = null;
    this.#smallReads = 0;
  }
}

// --- internal ---

function smallMemory(): Buffer {
  return Buffer.allocUnsafeSlow(SMALL_BYTES);
}
