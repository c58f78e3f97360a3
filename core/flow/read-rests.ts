import type { Socket } from "node:net";

/** So many reads of so many bytes in a row are a transfer. */
const BULK_READS = 16;
const BULK_BYTES = 4 * 1024;
/** From here on a read is worth its while. */
const LARGE_BYTES = 128 * 1024;
const REST_MS = 1;

/**
 * Lets a pipe fill while a program writes much in small pieces: waking up for each of them costs more than all that is
 * done with it. Somebody who waits for an answer is not kept waiting: little is read at once, and pauses only follow reads.
 */
export class ReadRests {
  #bulkReads = 0;

  /** Call after a read. @returns True when it rests now; it goes on by itself. */
  rests(socket: Socket, length: number): boolean {
    this.#bulkReads = length < BULK_BYTES ? 0 : this.#bulkReads + 1;
    if (this.#bulkReads < BULK_READS || length >= LARGE_BYTES) return false;
    setTimeout(() => {
      if (!socket.destroyed && !socket.isPaused()) socket._read(0);
    }, REST_MS);
    return true;
  }
}
