import { messageOf } from "../errors/error.js";
import type { Lifecycle } from "./contract.js";
import type { Duties } from "./duties.js";
import type { Logger } from "./logger.js";

export interface SweeperParts {
  /** What is removed, for the log: `expired join tokens`. */
  readonly what: string;
  readonly everyMs: number;
  /** @returns How many were removed. */
  sweep(): Promise<number>;
  readonly logger: Logger;
  /** Of several servers one sweeps. Absent, each of them does. */
  readonly duties?: Duties;
}

/** Removes what nobody waits for any more: once at the start, then again and again. A failure is logged and tried again. */
export class Sweeper implements Lifecycle {
  #timer: NodeJS.Timeout | null = null;
  #sweeping: Promise<void> = Promise.resolve();

  constructor(private readonly parts: SweeperParts) {}

  async start(): Promise<void> {
    await this.#sweep();
    this.#timer = setInterval(() => {
      this.#sweeping = this.#sweep();
    }, this.parts.everyMs);
    this.#timer.unref();
  }

  async dispose(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#sweeping;
  }

  async #sweep(): Promise<void> {
    const { what, logger, duties } = this.parts;
    try {
      if (duties !== undefined && !(await duties.have(`remove ${what}`))) return;
      const removed = await this.parts.sweep();
      if (removed > 0) logger.info(`removed ${what}`, { removed });
    } catch (error) {
      logger.warn(`could not remove ${what}`, { error: messageOf(error) });
    }
  }
}
