import { messageOf } from "../../core/errors/error.js";
import type { Lifecycle } from "../../core/plugin/contract.js";
import type { Logger } from "../../core/plugin/logger.js";

const SWEEP_INTERVAL_MS = 60_000;

/** Removes expired join tokens, at the start and once a minute. */
export class TokenSweeper implements Lifecycle {
  #timer: NodeJS.Timeout | null = null;
  #sweeping: Promise<void> = Promise.resolve();

  constructor(
    private readonly tokens: { sweep(): Promise<number> },
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
      const removed = await this.tokens.sweep();
      if (removed > 0) this.logger.info("removed expired join tokens", { removed });
    } catch (error) {
      this.logger.warn("could not remove expired join tokens", { error: messageOf(error) });
    }
  }
}
