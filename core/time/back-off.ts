/** Waiting times between attempts: doubling from `firstSeconds` to `maxSeconds`, each cut by up to a half at random. */
export class BackOff {
  #attempts = 0;

  constructor(
    private readonly firstSeconds: number,
    private readonly maxSeconds: number,
    /** From 0 up to 1. */
    private readonly random: () => number,
  ) {}

  /** How long to wait before the next attempt. */
  nextSeconds(): number {
    const whole = Math.min(this.maxSeconds, this.firstSeconds * 2 ** Math.min(this.#attempts, 30));
    this.#attempts += 1;
    return whole * (1 - this.random() / 2);
  }

  /** Starts over, after an attempt that lasted. */
  reset(): void {
    this.#attempts = 0;
  }
}
