import { messageOf } from "../../core/errors/error.js";
import type { Lifecycle } from "../../core/plugin/contract.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { LoginSessions } from "./login-sessions.js";

const INTERVAL_MS = 60_000;

/** Notes once a minute which login sessions were used, and deletes expired ones. */
export class LoginSessionSweeper implements Lifecycle {
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> = Promise.resolve();

  constructor(
    private readonly sessions: LoginSessions,
    private readonly logger: Logger,
  ) {}

  async start(): Promise<void> {
    this.#timer = setInterval(() => {
      this.#running = this.#tidy();
    }, INTERVAL_MS);
    this.#timer.unref();
  }

  async dispose(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#running;
  }

  async #tidy(): Promise<void> {
    try {
      await this.sessions.tidy();
    } catch (error) {
      this.logger.warn("tidying login sessions", { error: messageOf(error) });
    }
  }
}
