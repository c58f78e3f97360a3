import type { Lender } from "./lent-memory.js";

/** Room before the bytes that are read, in which the beginning of a packet is put that came with the read before. */
export const HEADROOM_BYTES = 36 * 1024;
const BULK_BYTES = 256 * 1024;
/** What somebody types, and most of what is said before, fits. */
const FIRST_BYTES = 8 * 1024;
/** So many small reads in a row end a transfer. */
const SMALL_READS = 32;
const MAX_SPARE = 8;

const spare: Buffer[] = [];

/** The memory that one connection is read into: small at first, large and from a common store while much comes. */
export class ReadMemory implements Lender {
  #buffer: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #area: Buffer = this.#buffer;
  #smallReads = 0;
  #isKept = false;

  get memory(): ArrayBufferLike {
    return this.#buffer.buffer;
  }

  /** Where to read to. */
  get area(): Buffer {
    return this.#area;
  }

  keep(): () => void {
    this.#isKept = true;
    const buffer = this.#buffer;
    let isBack = false;
    return () => {
      if (isBack) return;
      isBack = true;
      giveBack(buffer);
    };
  }

  /** Where to read to next, after a read of so many bytes. */
  after(length: number): Buffer {
    const isLarge = this.#buffer.length > FIRST_BYTES;
    this.#smallReads = length < FIRST_BYTES ? this.#smallReads + 1 : 0;
    if (!isLarge && length === this.#area.length) this.#use(spare.pop() ?? Buffer.allocUnsafeSlow(HEADROOM_BYTES + BULK_BYTES));
    else if (isLarge && this.#smallReads >= SMALL_READS) {
      if (!this.#isKept) giveBack(this.#buffer);
      this.#use(Buffer.allocUnsafeSlow(FIRST_BYTES));
    } else if (this.#isKept) {
      this.#use(
        isLarge ? (spare.pop() ?? Buffer.allocUnsafeSlow(HEADROOM_BYTES + BULK_BYTES)) : Buffer.allocUnsafeSlow(FIRST_BYTES),
      );
    }
    return this.#area;
  }

  /** Nothing is read any more. */
  close(): void {
    if (!this.#isKept) giveBack(this.#buffer);
    this.#use(Buffer.alloc(0));
  }

  #use(buffer: Buffer): void {
    this.#buffer = buffer;
    this.#area = buffer.length > FIRST_BYTES ? buffer.subarray(HEADROOM_BYTES) : buffer;
    this.#isKept = false;
    this.#smallReads = 0;
  }
}

// --- internal ---

function giveBack(buffer: Buffer): void {
  if (buffer.length > FIRST_BYTES && spare.length < MAX_SPARE) spare.push(buffer);
}
