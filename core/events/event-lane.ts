import { setTimeout as delay } from "node:timers/promises";
import { isMezError, messageOf } from "../errors/error.js";
import type { Logger } from "../plugin/logger.js";
import type { OutboxRow } from "./outbox.js";

/** One who hears of events. */
export interface Subscriber {
  /** Id of its plugin. */
  readonly owner: string;
  /** Hears on each server of the cluster, not just on one. */
  readonly everyServer: boolean;
  tell(event: unknown): Promise<void>;
  /** With `everyServer`: lets go of what this process keeps of events, since some will not be told. */
  missed(): void;
}

/** Tells a subscriber that it has missed events; what that fails with goes to the log. */
export function missedBy(subscriber: Subscriber, logger: Logger): void {
  if (!subscriber.everyServer) return;
  try {
    subscriber.missed();
  } catch (error) {
    logger.error("a subscriber failed", { plugin: subscriber.owner, error: messageOf(error) });
  }
}

/** An event on its way to one plugin. */
export interface LaneItem {
  /** `null` when too many wait: read again when it is its turn. */
  readonly row: OutboxRow | null;
  readonly seq: number;
  readonly topic: string;
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
 * at growing intervals, and holds up what is behind it in this lane alone. While the database is away it waits, since nobody
 * knows whose the event is.
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
      const call = await this.#known(item);
      if (call === null) return false;
      if (call.row === null && !item.again) this.#missed(item);
      try {
        await this.#tell(call, item.again, told);
        return true;
      } catch (error) {
        logger.error("a subscriber failed", { topic: call.row?.topic, seq: item.seq, tries, error: messageOf(error) });
        if (tries === MAX_TRIES) return true;
        if (closing.aborted) return false;
        await this.#pause(retryMs * tries);
      }
    }
  }

  /** The event and whether it is this server's; `null` when that cannot be known: then it comes again. */
  async #known(item: LaneItem): Promise<Call | null> {
    const { logger, closing, retryMs, isOurs, read, subscribers } = this.parts;
    for (let tries = 1; ; tries += 1) {
      try {
        const row = item.row ?? (await read(item.seq));
        const isForOne = row !== null && subscribers(row.topic).some(({ everyServer }) => !everyServer);
        return { row, ours: isForOne && (await isOurs(row)) };
      } catch (error) {
        if (tries === 1) logger.warn("an event waits for the database", { seq: item.seq, error: messageOf(error) });
        if (closing.aborted || (tries >= MAX_TRIES && !isMezError(error, "UNAVAILABLE"))) return null;
        await this.#pause(retryMs * Math.min(tries, MAX_TRIES));
      }
    }
  }

  /**
   * Another server delivers it and has done so, and a minute later it is gone. Those who hear on every server start anew, which
   * comes in its turn: what they were told before is in, and nothing later.
   */
  #missed({ topic, seq }: LaneItem): void {
    const hearing = this.parts.subscribers(topic).filter(({ everyServer }) => everyServer);
    if (hearing.length > 0) this.parts.logger.warn("an event waited for too long and is gone; starting anew", { topic, seq });
    for (const subscriber of hearing) missedBy(subscriber, this.parts.logger);
  }

  async #pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.parts.closing, ref: false }).catch(() => "closing");
  }

  /** @param told Those who have taken it before another one failed. */
  async #tell({ row, ours }: Call, again: boolean, told: Set<Subscriber>): Promise<void> {
    for (const subscriber of row === null ? [] : this.parts.subscribers(row.topic)) {
      if (told.has(subscriber) || !(subscriber.everyServer ? !again : ours)) continue;
      await subscriber.tell(row?.payload);
      told.add(subscriber);
    }
  }
}

// --- internal ---

interface Call {
  /** `null` when it is gone. */
  readonly row: OutboxRow | null;
  readonly ours: boolean;
}

const MAX_TRIES = 10;
/** Events with their payload in memory; of further ones only the number. */
const MAX_HELD = 1_000;
