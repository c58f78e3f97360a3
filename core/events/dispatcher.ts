import { setTimeout as delay } from "node:timers/promises";
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
  readonly #closing = new AbortController();

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

  /** Waits for what was committed before the call. A subscriber that fails is not waited for: it hears the event after the next start. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#queue;
  }

  async #deliver(rows: readonly OutboxRow[]): Promise<void> {
    const done: number[] = [];
    for (const row of rows) {
      let isDone = true;
      if (row.topic.startsWith("event:"))
        for (const subscriber of this.subscribers(row.topic)) isDone = (await this.#tell(subscriber, row)) && isDone;
      if (isDone) done.push(row.seq);
    }
    this.delivered(done);
  }

  /** @returns Whether the row need not come again. */
  async #tell(subscriber: (event: unknown) => Promise<void>, row: OutboxRow): Promise<boolean> {
    const { signal } = this.#closing;
    for (let tries = 1; ; tries += 1) {
      try {
        await subscriber(row.payload);
        return true;
      } catch (error) {
        this.logger.error("a subscriber failed", { topic: row.topic, seq: row.seq, tries, error: messageOf(error) });
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
