import { setTimeout as delay } from "node:timers/promises";
import { messageOf } from "../../../core/errors/error.js";
import type { Logger } from "../../../core/plugin/logger.js";
import type { PgPool } from "./pg-client.js";

/**
 * Hears by LISTEN that somebody has committed changes. It may be deaf at any time, which costs others no more than the
 * time until they ask again.
 */
export class ChangeListener {
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #isDeaf = false;

  constructor(
    private readonly pool: PgPool,
    private readonly channel: string,
    private readonly onChange: (note: string) => void,
    private readonly logger: Logger,
  ) {}

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        if (!(await this.#listen())) return;
      } catch (error) {
        if (!signal.aborted && !this.#isDeaf)
          this.logger.warn("cannot hear of changes of other servers; asking instead", { error: messageOf(error) });
        this.#isDeaf = true;
      }
      await delay(RETRY_MS, undefined, { signal, ref: false }).catch(() => "stopping");
    }
  }

  /** Until the connection ends. `false` when a pooler is in between, which passes no notifications on. */
  async #listen(): Promise<boolean> {
    const client = new this.pool.Client(this.pool.options);
    const { signal } = this.#stopping;
    let stop = (): void => {};
    const ended = new Promise<void>((resolve) => {
      stop = resolve;
      client.on("end", () => resolve());
    });
    client.on("error", () => "followed by its end");
    client.on("notification", (notification) => this.onChange(noteOf(notification)));
    await client.connect();
    let pulse: NodeJS.Timeout | undefined;
    signal.addEventListener("abort", stop);
    try {
      if (signal.aborted) return false;
      const { rows } = await client.query("select pg_backend_pid() as pid");
      if (rows[0]?.pid !== client.processID) {
        this.logger.info("a pooler is in front of the database: asking twice a second for changes of other servers");
        return false;
      }
      await client.query(`listen ${this.channel}`);
      this.#isDeaf = false;
      this.onChange("");
      // Asked now and then, so that a connection whose network is cut is found to be silent.
      pulse = setInterval(() => void client.query("select 1").catch(() => "followed by its end"), PULSE_MS);
      await ended;
      return true;
    } finally {
      clearInterval(pulse);
      signal.removeEventListener("abort", stop);
      await client.end().catch(() => "it is gone already");
    }
  }
}

// --- internal ---

function noteOf(notification: unknown): string {
  const { payload } = notification as { readonly payload?: unknown };
  return typeof payload === "string" ? payload : "";
}

const RETRY_MS = 1000;
const PULSE_MS = 10_000;
