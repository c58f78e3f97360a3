import type { Writable } from "node:stream";

/** From here on a packet is part of a transfer and not somebody's keystroke, which leaves at once. */
const BULK_BYTES = 4_096;
/** Enough for one write to be cheap. */
const MAX_HELD_BYTES = 256 * 1024;

/** Lets the large packets that are made in one go leave in one write: the system calls cost more than the encryption. */
export class GatheredWrites {
  #heldBytes = 0;
  #isHolding = false;

  constructor(private readonly socket: Writable) {}

  /** Call before the packet is written. */
  expect(length: number): void {
    if (!this.#isHolding) {
      if (length < BULK_BYTES) return;
      this.#isHolding = true;
      this.socket.cork();
      process.nextTick(() => this.flush());
    } else if (this.#heldBytes >= MAX_HELD_BYTES) {
      this.socket.uncork();
      this.socket.cork();
      this.#heldBytes = 0;
    }
    this.#heldBytes += length;
  }

  /** Sends what is held; needed before a socket is destroyed. */
  flush(): void {
    if (!this.#isHolding) return;
    this.#isHolding = false;
    this.#heldBytes = 0;
    this.socket.uncork();
  }
}
