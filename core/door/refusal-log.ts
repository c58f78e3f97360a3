import type { LogFields, Logger } from "../plugin/logger.js";
import type { Clock } from "../time/clock.js";

/** Lines about strangers in the log, so many a minute; the first one of a later minute says how many were left out. */
export class RefusalLog {
  #minute = Number.NaN;
  #written = 0;
  #leftOut = 0;

  constructor(
    private readonly logger: Pick<Logger, "warn">,
    private readonly clock: Clock,
    private readonly mostPerMinute = 10,
  ) {}

  warn(message: string, fields: LogFields): void {
    const minute = Math.floor(this.clock.now().getTime() / 60_000);
    if (minute !== this.#minute) this.#written = 0;
    this.#minute = minute;
    if (this.#written >= this.mostPerMinute) {
      this.#leftOut += 1;
      return;
    }
    this.#written += 1;
    this.logger.warn(message, { ...fields, ...(this.#leftOut > 0 ? { leftOut: this.#leftOut } : {}) });
    this.#leftOut = 0;
  }
}
