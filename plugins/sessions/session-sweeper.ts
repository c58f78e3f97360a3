import { messageOf } from "../../core/errors/error.js";
import type { Lifecycle } from "../../core/plugin/contract.js";
import type { Duties } from "../../core/plugin/duties.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { SessionService } from "./session-service.js";

/** Once a minute tells other auth servers who was heard of here, and sweeps on one of them. */
export class SessionSweeper implements Lifecycle {
  #timer: NodeJS.Timeout | null = null;
  #sweeping: Promise<void> = Promise.resolve();

  constructor(
    private readonly sessions: Pick<SessionService, "tell" | "sweep">,
    private readonly duties: Duties,
    private readonly logger: Logger,
    private readonly intervalMs = 60_000,
  ) {}

  async start(): Promise<void> {
    this.#timer = setInterval(() => {
      this.#sweeping = this.#sweep().catch((error: unknown) =>
        this.logger.error("sweeping live sessions", { error: messageOf(error) }),
      );
    }, this.intervalMs).unref();
  }

  async dispose(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#sweeping;
  }

  async #sweep(): Promise<void> {
    await this.sessions.tell();
    if (await this.duties.have("sweep sessions")) await this.sessions.sweep();
  }
}
