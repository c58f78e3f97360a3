import { performance } from "node:perf_hooks";

const TOLERANCE = 1.2;

/** Counts the heartbeats of one agent that were taken, and those that were not or came late. */
export class BeatCounter {
  taken = 0;
  missed = 0;
  #intervalMs = Number.POSITIVE_INFINITY;
  #last = performance.now();

  /** The agent has registered. */
  begin(intervalSeconds: number): void {
    this.#intervalMs = intervalSeconds * 1000;
    this.#last = performance.now();
  }

  reset(): void {
    this.taken = 0;
    this.missed = 0;
  }

  /** Counts one heartbeat, and fails as it does. */
  async count(beat: Promise<void>): Promise<void> {
    try {
      await beat;
    } catch (error) {
      this.missed += 1;
      throw error;
    }
    const now = performance.now();
    if (now - this.#last > this.#intervalMs * TOLERANCE) this.missed += 1;
    this.#last = now;
    this.taken += 1;
  }
}
