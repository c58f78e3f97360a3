const PER_TURN = 64;

/**
 * Wakes those who wait, so many in each turn of the event loop, in the order in which they were to be woken. What ten thousand watchers
 * do with one change takes a second: in one piece, nobody would be told anything before the end of it, and no call answered.
 */
export class WakeQueue {
  readonly #waiting = new Set<() => void>();
  /** In this turn. */
  #woken = 0;
  #isTurning = false;

  /** Wakes now, or in one of the next turns; who is to be woken already is woken once. */
  add(wake: () => void): void {
    this.#waiting.add(wake);
    this.#turn();
  }

  delete(wake: () => void): void {
    this.#waiting.delete(wake);
  }

  #turn(): void {
    for (const wake of this.#waiting) {
      if (this.#woken >= PER_TURN) break;
      this.#woken += 1;
      this.#waiting.delete(wake);
      wake();
    }
    if (this.#woken === 0 || this.#isTurning) return;
    this.#isTurning = true;
    setImmediate(() => {
      this.#isTurning = false;
      this.#woken = 0;
      this.#turn();
    });
  }
}
