import { messageOf } from "../../core/errors/error.js";
import type { Lifecycle } from "../../core/plugin/contract.js";
import type { Database } from "../../core/plugin/database.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { Clock } from "../../core/time/clock.js";
import { findHeartbeats, storeHeartbeats } from "./agent-repository.js";

const MISSED_INTERVALS = 3;
const BATCH_ROWS = 500;

/** When each agent was last heard. In memory; written in batches, so that a heartbeat costs no transaction. */
export class Heartbeats implements Lifecycle {
  readonly #lastSeen = new Map<string, number>();
  readonly #unsaved = new Set<string>();
  readonly #gone = new Set<string>();
  #timer: NodeJS.Timeout | null = null;
  #saving: Promise<void> = Promise.resolve();

  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
    private readonly logger: Logger,
    readonly intervalSeconds: number,
  ) {}

  async start(): Promise<void> {
    for (const [id, lastSeen] of await this.database.read(findHeartbeats))
      if (!this.#lastSeen.has(id)) this.#lastSeen.set(id, lastSeen.getTime());
    this.#timer = setInterval(() => {
      this.#saving = this.save();
    }, this.intervalSeconds * 1000);
    this.#timer.unref();
  }

  async dispose(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#saving;
    await this.save();
  }

  beat(id: string): void {
    this.#lastSeen.set(id, this.clock.now().getTime());
    this.#unsaved.add(id);
    this.#gone.delete(id);
  }

  /** The agent said goodbye: offline at once, without waiting for heartbeats to fail to come. */
  leave(id: string): void {
    this.#gone.add(id);
  }

  forget(id: string): void {
    this.#lastSeen.delete(id);
    this.#unsaved.delete(id);
    this.#gone.delete(id);
  }

  lastSeen(id: string): Date | null {
    const time = this.#lastSeen.get(id);
    return time === undefined ? null : new Date(time);
  }

  isOnline(id: string): boolean {
    const time = this.#lastSeen.get(id);
    return (
      time !== undefined &&
      !this.#gone.has(id) &&
      this.clock.now().getTime() - time <= MISSED_INTERVALS * this.intervalSeconds * 1000
    );
  }

  /** Writes what is new. A failure is logged and tried again at the next interval. */
  async save(): Promise<void> {
    const ids = [...this.#unsaved];
    for (let start = 0; start < ids.length; start += BATCH_ROWS) {
      const batch = ids.slice(start, start + BATCH_ROWS).flatMap((id) => {
        const time = this.#lastSeen.get(id);
        return time === undefined ? [] : [[id, new Date(time)] as const];
      });
      if (batch.length === 0) continue;
      try {
        await this.database.transaction((tx) => storeHeartbeats(tx.em, batch));
        for (const [id, time] of batch) if (this.#lastSeen.get(id) === time.getTime()) this.#unsaved.delete(id);
      } catch (error) {
        this.logger.warn("could not store heartbeats", { error: messageOf(error) });
        return;
      }
    }
  }
}
