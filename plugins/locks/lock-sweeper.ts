import { messageOf } from "../../core/errors/error.js";
import type { Lifecycle } from "../../core/plugin/contract.js";
import type { Logger } from "../../core/plugin/logger.js";

/** Removes expired locks, at the start and every half minute. Nobody waits for it: an expired lock holds nobody. */
export class LockSweeper implements Lifecycle {
  #timer: NodeJS.Timeout | null = null;
  #sweeping: Promise<void> = Promise.resolve();

  constructor(
    private readonly locks: { sweep(): Promise<number> },
    private readonly logger: Logger,
  ) {}

  async start(): Promise<void> {
    await this.#sweep();
    this.#timer = setInterval(() => {
      this.#sweeping = this.#sweep();
    }, SWEEP_INTERVAL_MS);
    this.#timer.unref();
  }

  async dispose(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#sweeping;
  }

  async #sweep(): Promise<void> {
    try {
      const removed = await this.locks.sweep();
      if (removed > 0) this.logger.info("removed expired locks", { removed });
    } catch (error) {
      this.logger.warn("could not remove expired locks", { error: messageOf(error) });
    }
  }
}

// --- internal ---

const SWEEP_INTERVAL_MS = 30_000;
