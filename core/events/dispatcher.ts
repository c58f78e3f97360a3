import { messageOf } from "../errors/error.js";
import type { Logger } from "../plugin/logger.js";
import type { CollectionChange } from "./collections.js";
import type { LocalCollections } from "./local-collections.js";
import type { OutboxRow } from "./outbox.js";

const RETRY_MS = 1_000;
const MAX_TRIES = 10;

/** Finds the subscribers of an event topic in the current generation. */
export type Subscribers = (topic: string) => readonly ((event: unknown) => Promise<void>)[];

/**
 * Delivers what was committed: collection changes at once and in order, so that whoever waited for the commit reads its
 * own writes; events to their subscribers one row after the other. A row is marked as delivered when all have taken it;
 * after a crash it is delivered again.
 */
export class Dispatcher {
  #queue: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(
    private readonly collections: LocalCollections,
    private readonly subscribers: Subscribers,
    private readonly delivered: (seqs: readonly number[]) => void,
    private readonly logger: Logger,
  ) {}

  /** Called after each commit, with its rows in order. */
  committed(rows: readonly OutboxRow[]): void {
    if (rows.length === 0) return;
    this.collections.apply(rows.filter(({ topic }) => topic.startsWith("collection:")).map(toChange));
    this.#queue = this.#queue.then(() => this.#deliver(rows));
  }

  /** Delivers events of an earlier process. Its collection changes are not needed: copies begin with what is stored. */
  redeliver(rows: readonly OutboxRow[]): void {
    this.#queue = this.#queue.then(() => this.#deliver(rows));
  }

  /** Waits for what was committed before the call. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#queue;
  }

  async #deliver(rows: readonly OutboxRow[]): Promise<void> {
    for (const row of rows) {
      if (!row.topic.startsWith("event:")) continue;
      for (const subscriber of this.subscribers(row.topic)) await this.#tell(subscriber, row);
    }
    this.delivered(rows.map(({ seq }) => seq));
  }

  async #tell(subscriber: (event: unknown) => Promise<void>, row: OutboxRow): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await subscriber(row.payload);
      } catch (error) {
        this.logger.error("a subscriber failed", { topic: row.topic, seq: row.seq, tries, error: messageOf(error) });
        if (tries === MAX_TRIES || this.#closed) return;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS * tries).unref());
      }
    }
  }
}

// --- internal ---

function toChange(row: OutboxRow): CollectionChange {
  return { kind: row.topic.slice("collection:".length), key: row.key ?? "", ...(row.removed ? {} : { value: row.payload }) };
}
