/** Room before the bytes that are read, in which the beginning of a packet is put that came with the read before. */
export const HEADROOM_BYTES = 36 * 1024;

/** A block: the headroom, and as much as is read at a time. */
export const BLOCK_BYTES = HEADROOM_BYTES + 256 * 1024;

/** A large piece of memory of the common store; its content is whatever was there before. `releaseBlock` when it is not needed any more. */
export function takeBlock(): Buffer {
  return spare.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES);
}

/** Gives a block back; nobody may touch it afterwards. What is no block is left to the garbage collection. */
export function releaseBlock(block: Buffer): void {
  if (block.length === BLOCK_BYTES && spare.length < MAX_SPARE) spare.push(block);
}

// --- internal ---

const MAX_SPARE = 16;
const spare: Buffer[] = [];
