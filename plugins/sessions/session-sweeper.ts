import { messageOf } from "../../core/errors/error.js";
import type { Lifecycle } from "../../core/plugin/contract.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { SessionService } from "./session-service.js";

/** Sweeps once a minute while it runs. */
export class SessionSweeper implements Lifecycle {
  #timer: NodeJS.Timeout | null = null;
  #sweeping: Promise<void> = Promise.resolve();

  constructor(
    private readonly sessions: Pick<SessionService, "sweep">,
    private readonly logger: Logger,
    private readonly intervalMs = 60_000,
  ) {}

  async start(): Promise<void> {
    this.#timer = setInterval(() => {
      this.#sweeping = this.sessions
        .sweep()
        .catch((error: unknown) => this.logger.error("sweeping live sessions", { error: messageOf(error) }));
    }, this.intervalMs).unref();
  }

  async dispose(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#sweeping;
  }
}
