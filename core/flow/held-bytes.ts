import { releaseBlock, takeBlock } from "./block-store.js";
import { isLent, owned } from "./lent-memory.js";

/** What is smaller is copied to memory of its own: a block for it would be a waste. */
const MIN_BYTES = 4 * 1024;

/** Copies of lent bytes that wait, in blocks of the common store: V8 answers memory made for them with full collections. */
export class HeldBytes {
  readonly #blocks: Buffer[] = [];
  /** In the last block. */
  #used = 0;

  /** The bytes, to be used until `release`. */
  hold(bytes: Buffer): Buffer {
    if (bytes.length < MIN_BYTES || !isLent(bytes)) return owned(bytes);
    let block = this.#blocks.at(-1);
    if (block === undefined || this.#used + bytes.length > block.length) {
      block = takeBlock();
      if (bytes.length > block.length) {
        releaseBlock(block);
        return owned(bytes);
      }
      this.#blocks.push(block);
      this.#used = 0;
    }
    const held = block.subarray(this.#used, this.#used + bytes.length);
    held.set(bytes);
    this.#used += bytes.length;
    return held;
  }

  /** All that was held is used no more. */
  release(): void {
    for (const block of this.#blocks.splice(0)) releaseBlock(block);
  }
}
