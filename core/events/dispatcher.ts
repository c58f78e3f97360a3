import { setTimeout as delay } from "node:timers/promises";
import { messageOf } from "../errors/error.js";
import type { Logger } from "../plugin/logger.js";
import type { CollectionChange } from "./collections.js";
import type { LocalCollections } from "./local-collections.js";
import type { OutboxRow } from "./outbox.js";

const RETRY_MS = 1_000;
const MAX_TRIES = 10;

/** One who hears of events. */
export interface Subscriber {
  /** Hears on each server of the cluster, not just on one. */
  readonly everyServer: boolean;
  tell(event: unknown): Promise<void>;
}

/** Finds the subscribers of an event topic in the current generation. */
export type Subscribers = (topic: string) => readonly Subscriber[];

export interface DispatcherParts {
  readonly collections: LocalCollections;
  readonly subscribers: Subscribers;
  /** Whether this server is the one to deliver an event; asked right before. */
  readonly isOurs: (row: OutboxRow) => Promise<boolean>;
  readonly delivered: (rows: readonly OutboxRow[]) => void;
  readonly logger: Logger;
}

/**
 * Delivers what was committed, by this server and by others: collection changes at once and in order, so that whoever
 * waited for the commit reads its own writes; events to their subscribers one row after the other. The server that
 * committed an event delivers it to those who hear on one server; all do for those who hear on each. A row is marked as
 * delivered when all have taken it; after a crash it is delivered again, by another server if there is one.
 */
export class Dispatcher {
  #queue: Promise<void> = Promise.resolve();
  readonly #closing = new AbortController();

  constructor(private readonly parts: DispatcherParts) {}

  /** Called after each commit, with its rows in order. */
  committed(rows: readonly OutboxRow[]): void {
    if (rows.length === 0) return;
    this.parts.collections.apply(rows.filter(({ topic }) => topic.startsWith("collection:")).map(toChange));
    this.#queue = this.#queue.then(() => this.#deliver(rows, () => true));
  }

  /**
   * Delivers events of a process that is gone to those who hear on one server. The others remember nothing of then, and
   * collection changes are not needed: copies begin with what is stored.
   */
  redeliver(rows: readonly OutboxRow[]): void {
    this.#queue = this.#queue.then(() => this.#deliver(rows, ({ everyServer }) => !everyServer));
  }

  /** Waits for what was committed before the call. A subscriber that fails is not waited for: it hears the event after the next start. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#queue;
  }

  async #deliver(rows: readonly OutboxRow[], hears: (subscriber: Subscriber) => boolean): Promise<void> {
    const done: OutboxRow[] = [];
    for (const row of rows) if (!row.topic.startsWith("event:") || (await this.#deliverEvent(row, hears))) done.push(row);
    this.parts.delivered(done);
  }

  /** @returns Whether the row need not come again. */
  async #deliverEvent(row: OutboxRow, hears: (subscriber: Subscriber) => boolean): Promise<boolean> {
    const all = this.parts.subscribers(row.topic).filter(hears);
    const ours = all.some(({ everyServer }) => !everyServer) && (await this.parts.isOurs(row));
    let isDone = true;
    for (const subscriber of all) {
      if (ours || subscriber.everyServer) isDone = (await this.#tell(subscriber, row)) && isDone;
    }
    return isDone;
  }

  /** @returns Whether the row need not come again. */
  async #tell(subscriber: Subscriber, row: OutboxRow): Promise<boolean> {
    const { signal } = this.#closing;
    for (let tries = 1; ; tries += 1) {
      try {
        await subscriber.tell(row.payload);
        return true;
      } catch (error) {
        const { topic, seq } = row;
        this.parts.logger.error("a subscriber failed", { topic, seq, tries, error: messageOf(error) });
        if (tries === MAX_TRIES) return true;
        if (signal.aborted) return false;
        await delay(RETRY_MS * tries, undefined, { signal, ref: false }).catch(() => "closing");
      }
    }
  }
}

// --- internal ---

function toChange(row: OutboxRow): CollectionChange {
  return { kind: row.topic.slice("collection:".length), key: row.key ?? "", ...(row.removed ? {} : { value: row.payload }) };
}
