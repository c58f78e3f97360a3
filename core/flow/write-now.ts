import { writeSync } from "node:fs";
import type { Socket } from "node:net";
import type { Writable } from "node:stream";

/** Sends bytes before it returns; false when it sent none, and they should be written as ever. */
export type WriteNow = (bytes: Buffer) => boolean;

/** Somebody types: more than this is a transfer, in which the way through a stream is the smaller part. */
const SMALL_BYTES = 1024;

/** How a stream sends at once, for those that can; `null` for others. */
export function writeNowOf(target: Writable): WriteNow | null {
  return writers.get(target) ?? null;
}

/** Says how a stream sends at once. What waits in the stream must go first: then it answers false. */
export function markWriteNow(target: Writable, writeNow: WriteNow): void {
  writers.set(target, writeNow);
}

/**
 * Lets a socket without TLS send what is small at once: for a keystroke, a stream's own way takes longer than all that the
 * keystroke is there for.
 */
export function writeSmallNow(socket: Socket): void {
  const inside = socket as Socket & { readonly _handle: { readonly fd?: number } | null };
  markWriteNow(socket, (bytes) => {
    const fd = inside._handle?.fd ?? -1;
    if (bytes.length > SMALL_BYTES || socket.writableLength > 0 || socket.connecting || !socket.writable || fd < 0) return false;
    let written: number;
    try {
      written = writeSync(fd, bytes);
    } catch {
      return false; // the stream finds out why, and says it as streams do
    }
    if (written < bytes.length) socket.write(Buffer.from(bytes.subarray(written)));
    return true;
  });
}

// --- internal ---

const writers = new WeakMap<Writable, WriteNow>();
