import type { Clock } from "../../core/time/clock.js";

/** A clock that goes when it is told to. */
export class FakeClock implements Clock {
  #now: Date;

  /** @param now Default the real time of now, so that certificates made by it are in force. */
  constructor(now: Date = new Date()) {
    this.#now = now;
  }

  now(): Date {
    return new Date(this.#now);
  }

  /** Goes forward. */
  advance(seconds: number): void {
    this.#now = new Date(this.#now.getTime() + seconds * 1000);
  }
}
