/*
 * Bytes that pass through a process are read into memory that is used again at once, so that nothing is allocated for
 * them and nothing is left to collect. They are *lent*: whoever gets them may use them until it returns, writes them on,
 * or makes a copy.
 */

/** Whose memory is being read, while it is. */
export interface Lender {
  /** All of it; what lies before the bytes of the moment is free. */
  readonly memory: ArrayBufferLike;
  /** Reads into other memory from now on. The answer gives the old one back. */
  keep(): () => void;
}

/** Hands bytes out; afterwards what was gathered meanwhile is written, and the memory is used again unless somebody keeps it. */
export function lendDuring(from: Lender, work: () => void): void {
  lender = from;
  try {
    work();
    for (let end = endings.pop(); end !== undefined; end = endings.pop()) end();
  } finally {
    lender = null;
  }
}

/** True while bytes are being lent, so that `atEndOfTurn` is not far away. */
export function isLending(): boolean {
  return lender !== null;
}

export function isLent(bytes: Uint8Array): boolean {
  return lender !== null && bytes.buffer === lender.memory;
}

/** The bytes, to be kept for as long as one likes. */
export function owned(bytes: Buffer): Buffer {
  return isLent(bytes) ? Buffer.from(bytes) : bytes;
}

/** Leaves the memory that is lent now to a write that has not ended. Call the answer when it has. */
export function keepLent(): () => void {
  return lender === null ? nothing : lender.keep();
}

/** Calls `work` when the bytes of this read are handed out, or else in the next turn of the event loop. */
export function atEndOfTurn(work: () => void): void {
  if (lender === null) setImmediate(work);
  else endings.push(work);
}

// --- internal ---

let lender: Lender | null = null;
const endings: (() => void)[] = [];

function nothing(): void {}
