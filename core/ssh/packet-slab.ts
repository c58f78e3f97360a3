import { isLending } from "../flow/lent-memory.js";
import { SharedKeep } from "../flow/shared-keep.js";

const SLAB_BYTES = 384 * 1024;
const MAX_SPARE = 8;

let memory: Buffer = Buffer.allocUnsafeSlow(SLAB_BYTES);
let used = 0;
/** Which writes still need the slab of the moment; `null` for none. */
let kept: SharedKeep | null = null;
const spare: Buffer[] = [];

/**
 * Memory for a packet that is made, encrypted and written before the read that caused it is over: all packets of one
 * read lie one after the other, leave in one write, and the next ones are laid over them.
 * @returns `null` when there is none; then the packet needs memory of its own.
 */
export function slabPacket(length: number): Buffer | null {
  if (!isLending() || used + length > memory.length) return null;
  const packet = memory.subarray(used, used + length);
  used += length;
  return packet;
}

export function isOnSlab(packet: Buffer): boolean {
  return packet.buffer === memory.buffer;
}

/** The piece of the slab between two places. */
export function slabPiece(start: number, end: number): Buffer {
  return memory.subarray(start, end);
}

/** Leaves the slab to a write that has not ended. Call the answer when it has. */
export function keepSlab(): () => void {
  const slab = memory;
  kept ??= new SharedKeep(() => {
    // Never the one that packets are put on.
    if (slab === memory) kept = null;
    else if (spare.length < MAX_SPARE) spare.push(slab);
  });
  return kept.keep();
}

/** After everything on it is written: uses it again, or another one. */
export function clearSlab(): void {
  used = 0;
  if (kept === null) return;
  kept = null;
  memory = spare.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES);
}
