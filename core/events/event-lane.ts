import { setTimeout as delay } from "node:timers/promises";
import { messageOf } from "../errors/error.js";
import type { Logger } from "../plugin/logger.js";
import type { OutboxRow } from "./outbox.js";

/** One who hears of events. */
export interface Subscriber {
  /** Id of its plugin. */
  readonly owner: string;
  /** Hears on each server of the cluster, not just on one. */
  readonly everyServer: boolean;
  tell(event: unknown): Promise<void>;
}

/** An event on its way to one plugin. */
export interface LaneItem {
  /** `null` when too many wait: read again when it is its turn. */
  readonly row: OutboxRow | null;
  readonly seq: number;
  /** Of a process that is gone: those who hear on every server do not hear it. */
  readonly again: boolean;
  /** Called once. @param isTaken `false` when it has to come again. */
  done(isTaken: boolean): void;
}

export interface LaneParts {
  /** Those of the lane's plugin that hear a topic, in the current generation. */
  readonly subscribers: (topic: string) => readonly Subscriber[];
  readonly isOurs: (row: OutboxRow) => Promise<boolean>;
  /** Reads an event again; `null` when it is gone. */
  readonly read: (seq: number) => Promise<OutboxRow | null>;
  readonly logger: Logger;
  readonly retryMs: number;
  /** Aborted when nobody waits for a failing subscriber any more. */
  readonly closing: AbortSignal;
}

/**
 * The events that one plugin hears: one after the other, in the order of the commits. One that fails is tried again, ten times
 * at growing intervals, and holds up what is behind it in this lane alone.
 */
export class EventLane {
  readonly #waiting: LaneItem[] = [];
  #running: Promise<void> | null = null;

  constructor(private readonly parts: LaneParts) {}

  add(item: LaneItem): void {
    this.#waiting.push(this.#waiting.length < MAX_HELD ? item : { ...item, row: null });
    this.#running ??= this.#run();
  }

  /** Resolves when everything that was added is done. */
  async idle(): Promise<void> {
    while (this.#running !== null) await this.#running;
  }

  async #run(): Promise<void> {
    // Whoever committed goes on first.
    await Promise.resolve();
    for (let item = this.#waiting.shift(); item !== undefined; item = this.#waiting.shift()) item.done(await this.#deliver(item));
    this.#running = null;
  }

  /** @returns Whether the event need not come again. */
  async #deliver(item: LaneItem): Promise<boolean> {
    const { logger, closing, retryMs } = this.parts;
    const told = new Set<Subscriber>();
    for (let tries = 1; ; tries += 1) {
      try {
        const row = item.row ?? (await this.parts.read(item.seq));
        if (row !== null) await this.#tell(row, item.again, told);
        return true;
      } catch (error) {
        logger.error("a subscriber failed", { topic: item.row?.topic, seq: item.seq, tries, error: messageOf(error) });
        if (tries === MAX_TRIES) return true;
        if (closing.aborted) return false;
        await delay(retryMs * tries, undefined, { signal: closing, ref: false }).catch(() => "closing");
      }
    }
  }

  /** @param told Those who have taken it before another one failed. */
  async #tell(row: OutboxRow, again: boolean, told: Set<Subscriber>): Promise<void> {
    const all = this.parts.subscribers(row.topic);
    const ours = all.some(({ everyServer }) => !everyServer) && (await this.parts.isOurs(row));
    for (const subscriber of all) {
      if (told.has(subscriber) || !(subscriber.everyServer ? !again : ours)) continue;
      await subscriber.tell(row.payload);
      told.add(subscriber);
    }
  }
}

// --- internal ---

const MAX_TRIES = 10;
/** Events with their payload in memory; of further ones only the number. */
const MAX_HELD = 1_000;
