import { messageOf } from "../../core/errors/error.js";
import type { Lifecycle } from "../../core/plugin/contract.js";
import type { Logger } from "../../core/plugin/logger.js";

/** Removes instances whose certificates expired a week ago, at the start and once an hour: nothing can come of them any more. */
export class InstanceSweeper implements Lifecycle {
  #timer: NodeJS.Timeout | null = null;
  #sweeping: Promise<void> = Promise.resolve();

  constructor(
    private readonly identities: { sweep(): Promise<number> },
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
      const removed = await this.identities.sweep();
      if (removed > 0) this.logger.info("removed instances that expired a week ago", { removed });
    } catch (error) {
      this.logger.warn("could not remove expired instances", { error: messageOf(error) });
    }
  }
}

// --- internal ---

const SWEEP_INTERVAL_MS = 3_600_000;
