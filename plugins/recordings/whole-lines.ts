import { closeSync, fstatSync, ftruncateSync, openSync, readSync } from "node:fs";

/**
 * Takes off the end of a file what is behind its last line end: a crash can cut the last line short.
 * @returns Bytes left.
 */
export function cutBackToWholeLines(path: string): number {
  const file = openSync(path, "r+");
  try {
    const size = fstatSync(file).size;
    const whole = endOfLastLine(file, size);
    if (whole < size) ftruncateSync(file, whole);
    return whole;
  } finally {
    closeSync(file);
  }
}

// --- internal ---

const NEWLINE = 0x0a;
const BLOCK_BYTES = 64 * 1024;

function endOfLastLine(file: number, size: number): number {
  const block = Buffer.alloc(BLOCK_BYTES);
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - BLOCK_BYTES);
    const bytesRead = readSync(file, block, 0, end - start, start);
    const found = block.subarray(0, bytesRead).lastIndexOf(NEWLINE);
    if (found >= 0) return start + found + 1;
    end = start;
  }
  return 0;
}
