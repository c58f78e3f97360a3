import type { Writable } from "node:stream";
import { HeldBytes } from "./held-bytes.js";
import { atEndOfTurn, isLending, keepLent } from "./lent-memory.js";
import { type WriteNow, writeNowOf } from "./write-now.js";

/** What is smaller leaves at once: somebody types. */
const BULK_BYTES = 1024;

/** Writes lent bytes on: those of one read leave in one write, without a copy unless the target is behind. */
export class LentWriter {
  #isCorked = false;
  #isBehind = false;
  /** Whether it is flushed when this read is over, and not only in the next turn. */
  #isFlushNear = false;
  readonly #writeNow: WriteNow | null;
  readonly #kept: (() => void)[] = [];
  /** Copies of what came while the target was behind. */
  readonly #held = new HeldBytes();

  /**
   * @param onBehind The target does not keep up: its source should pause…
   * @param onRoom …until this is called.
   */
  constructor(
    private readonly target: Writable,
    private readonly onBehind: () => void,
    private readonly onRoom: () => void,
  ) {
    this.#writeNow = writeNowOf(target);
  }

  write(bytes: Buffer): void {
    if (this.#writeNow?.(bytes)) return;
    const { target } = this;
    if (!this.#isCorked && bytes.length >= BULK_BYTES) {
      this.#isCorked = true;
      target.cork();
      this.#isFlushNear = isLending();
      atEndOfTurn(this.#flush);
    } else if (this.#isCorked && !this.#isFlushNear && isLending()) {
      this.#isFlushNear = true;
      atEndOfTurn(this.#flush);
    }
    target.write(this.#isBehind ? this.#held.hold(bytes) : bytes, this.#onWritten);
    if (!this.#isCorked) this.#check();
  }

  /** Writes what is held; before the target is ended. */
  flush(): void {
    this.#flush();
  }

  readonly #flush = (): void => {
    if (!this.#isCorked) return;
    this.#isCorked = false;
    this.target.uncork();
    this.#check();
  };

  #check(): void {
    if (this.#isBehind || this.target.writableLength === 0) return;
    this.#isBehind = true;
    this.#kept.push(keepLent());
    this.onBehind();
  }

  readonly #onWritten = (): void => {
    if (!this.#isBehind || this.#isCorked || this.target.writableLength > 0) return;
    this.#isBehind = false;
    for (const giveBack of this.#kept.splice(0)) giveBack();
    this.#held.release();
    this.onRoom();
  };
}
