import type { EntityManager } from "@mikro-orm/core";
import { type OutboxHead, type OutboxRow, readOutboxBetween, readOutboxFrom, readOutboxHead } from "./outbox.js";

export interface OutboxFollowerParts {
  /** Where to begin: everything later is delivered. */
  readonly head: OutboxHead;
  /** Takes messages in order, each once. */
  readonly deliver: (rows: readonly OutboxRow[]) => void;
  /** Messages are missing, or the history is another one: what was built of them is to be loaded anew. */
  readonly lost: () => Promise<void>;
}

/**
 * Follows the outbox of a cluster: messages that this process has committed, and in between those of other servers, all
 * in the order of the commits.
 */
export class OutboxFollower {
  #position: OutboxHead;
  #isLost = false;
  #loading: Promise<void> = Promise.resolve();

  constructor(private readonly parts: OutboxFollowerParts) {
    this.#position = parts.head;
  }

  /** Delivers those that have not been delivered yet. There may be no gap before them. */
  advance(rows: readonly OutboxRow[]): void {
    const fresh = rows.filter(({ seq }) => seq > this.#position.seq);
    const last = fresh.at(-1);
    if (last === undefined) return;
    this.#position = { seq: last.seq, commitId: last.commitId };
    this.parts.deliver(fresh);
  }

  /** Looks for messages of other servers. */
  async look(em: EntityManager): Promise<void> {
    await this.catchUp(em, await readOutboxHead(em, { lock: false }));
  }

  /** Whether everything up to a number is delivered. */
  hasSeen(seq: number): boolean {
    return !this.#isLost && seq <= this.#position.seq;
  }

  /** Asks for what there is to be delivered, before its end is known: an answer less to wait for. */
  readAhead(em: EntityManager): Ahead {
    const from = this.#position;
    const rows = readOutboxFrom(em, from.seq);
    rows.catch(() => "thrown where it is waited for");
    return { from, rows };
  }

  /**
   * Delivers everything up to `head`, which `em` has read.
   * @param ahead Read after the head, when nobody could write any more.
   */
  async catchUp(em: EntityManager, head: OutboxHead, ahead?: Ahead): Promise<void> {
    await this.#loading.catch(() => "tried again below");
    if (ahead !== undefined && !this.#isLost) {
      const rows = await ahead.rows;
      // Else what is here is not what was, and is looked at closely.
      if (follows(rows, ahead.from, head)) return this.advance(rows);
    }
    if (!this.#isLost) {
      const from = this.#position;
      // Asked once more, because the head may have been read before everything was loaded anew.
      for (const read of [async () => head, () => readOutboxHead(em, { lock: false })]) {
        if (await this.#reach(em, from, await read())) return;
        // Somebody else looked meanwhile, and loads anew or has done so already.
        if (this.#isLost || this.#position !== from) return this.look(em);
      }
      this.#isLost = true;
    }
    this.#loading = this.#loadAnew(em);
    await this.#loading;
  }

  /** Delivers what leads from one position to a head; `false` when nothing does. */
  async #reach(em: EntityManager, from: OutboxHead, head: OutboxHead): Promise<boolean> {
    if (head.seq === from.seq && head.commitId === from.commitId) return true;
    // Read before this process delivered something of its own.
    if (head.seq < from.seq) return (await readOutboxHead(em, { lock: false })).seq >= from.seq;
    const rows = await readOutboxBetween(em, from.seq, head.seq);
    if (!follows(rows, from, head)) return false;
    this.advance(rows);
    return true;
  }

  async #loadAnew(em: EntityManager): Promise<void> {
    this.#position = await readOutboxHead(em, { lock: false });
    await this.parts.lost();
    this.#isLost = false;
  }
}

/** Messages that were asked for, from the last known one on. */
export interface Ahead {
  readonly from: OutboxHead;
  readonly rows: Promise<readonly OutboxRow[]>;
}

// --- internal ---

/** Whether the messages begin with the known one and go on to the head without a gap. */
function follows(rows: readonly OutboxRow[], from: OutboxHead, head: OutboxHead): boolean {
  if (from.seq === 0) return rows.length === head.seq;
  return rows[0]?.commitId === from.commitId && rows.length === head.seq - from.seq + 1;
}
