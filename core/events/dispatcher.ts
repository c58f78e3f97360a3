import type { Logger } from "../plugin/logger.js";
import type { CollectionChange } from "./collections.js";
import { EventLane, missedBy, type Subscriber } from "./event-lane.js";
import type { LocalCollections } from "./local-collections.js";
import type { DeliveredRow, OutboxRow } from "./outbox.js";

/** Finds the subscribers of an event topic in the current generation, or all with `null`. */
export type Subscribers = (topic: string | null) => readonly Subscriber[];

export interface DispatcherParts {
  readonly collections: LocalCollections;
  readonly subscribers: Subscribers;
  /** Whether this server is the one to deliver an event; asked right before. */
  readonly isOurs: (row: OutboxRow) => Promise<boolean>;
  /** Reads an event that is not delivered yet. */
  readonly read: (seq: number) => Promise<OutboxRow | null>;
  readonly delivered: (rows: readonly DeliveredRow[]) => void;
  readonly logger: Logger;
  /** How long after a failure an event is told again, for the first time. Default 1000. */
  readonly retryMs?: number;
}

/**
 * Delivers what was committed, by this server and by others: collection changes at once and in order, so that whoever
 * waited for the commit reads its own writes; events in a lane for each plugin that hears them, so that one that is slow or
 * fails holds up no other. The server that committed an event delivers it to those who hear on one server; all do for those who
 * hear on each. A row is marked as delivered when all have taken it; after a crash it is delivered again, by another server if
 * there is one.
 */
export class Dispatcher {
  readonly #lanes = new Map<string, EventLane>();
  readonly #closing = new AbortController();

  constructor(private readonly parts: DispatcherParts) {}

  /** Called after each commit, with its rows in order. */
  committed(rows: readonly OutboxRow[]): void {
    if (rows.length === 0) return;
    this.parts.collections.apply(rows.filter((row) => !isEvent(row)).map(toChange));
    this.#distribute(rows, false);
  }

  /**
   * Delivers events of a process that is gone to those who hear on one server. The others remember nothing of then, and
   * collection changes are not needed: copies begin with what is stored.
   */
  redeliver(rows: readonly OutboxRow[]): void {
    this.#distribute(rows, true);
  }

  /** Messages of other servers were missed, so that nobody knows what happened. */
  missed(): void {
    for (const subscriber of this.parts.subscribers(null)) missedBy(subscriber, this.parts.logger);
  }

  /** Waits for what was committed before the call. A subscriber that fails is not waited for: it hears the event after the next start. */
  async close(): Promise<void> {
    this.#closing.abort();
    for (const lane of this.#lanes.values()) await lane.idle();
  }

  #distribute(rows: readonly OutboxRow[], again: boolean): void {
    const done: OutboxRow[] = [];
    for (const row of rows) {
      const owners = isEvent(row) ? this.#ownersOf(row.topic, again) : NOBODY;
      if (owners.size === 0) done.push(row);
      else this.#enqueue(row, owners, again);
    }
    if (done.length > 0) this.parts.delivered(done);
  }

  #ownersOf(topic: string, again: boolean): ReadonlySet<string> {
    const hearing = this.parts.subscribers(topic).filter(({ everyServer }) => !(again && everyServer));
    return new Set(hearing.map(({ owner }) => owner));
  }

  #enqueue(row: OutboxRow, owners: ReadonlySet<string>, again: boolean): void {
    const mark: DeliveredRow = { seq: row.seq, server: row.server };
    let left = owners.size;
    let isTakenByAll = true;
    const done = (isTaken: boolean): void => {
      isTakenByAll &&= isTaken;
      left -= 1;
      if (left === 0 && isTakenByAll) this.parts.delivered([mark]);
    };
    for (const owner of owners) this.#lane(owner).add({ row, seq: row.seq, topic: row.topic, again, done });
  }

  #lane(owner: string): EventLane {
    const known = this.#lanes.get(owner);
    if (known !== undefined) return known;
    const { subscribers, isOurs, read, logger, retryMs = 1_000 } = this.parts;
    const lane = new EventLane({
      ...{ isOurs, read, logger, retryMs, closing: this.#closing.signal },
      subscribers: (topic) => subscribers(topic).filter((subscriber) => subscriber.owner === owner),
    });
    this.#lanes.set(owner, lane);
    return lane;
  }
}

// --- internal ---

const NOBODY: ReadonlySet<string> = new Set();

function isEvent({ topic }: OutboxRow): boolean {
  return topic.startsWith("event:");
}

function toChange(row: OutboxRow): CollectionChange {
  return { kind: row.topic.slice("collection:".length), key: row.key ?? "", ...(row.removed ? {} : { value: row.payload }) };
}
