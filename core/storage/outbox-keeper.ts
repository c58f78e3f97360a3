import { randomUUID } from "node:crypto";
import type { EntityManager } from "@mikro-orm/core";
import { type DeliveredRow, markDelivered, pruneOutbox, pruneOutboxUpTo, readOutboxHead } from "../events/outbox.js";

/**
 * Deletes messages from the outbox, with the commits that are made anyway. Where servers share the database a message
 * stays for a minute after its delivery, so that each of them can see it; one that was away for longer loads anew.
 */
export class OutboxKeeper {
  /** Names this process among the servers, and is another one after a restart. */
  server: string = randomUUID();
  #delivered: number[] = [];
  #marks: { readonly at: number; readonly seq: number }[] = [];
  #lastDeletion = Number.NEGATIVE_INFINITY;

  /** @param now Milliseconds of a clock that never steps. */
  constructor(
    private readonly isShared: boolean,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** The next commit may delete these; lost in a crash, so they may be delivered again. */
  delivered(rows: readonly DeliveredRow[]): void {
    // Of a shared database's messages only events of this server wait for that.
    const own = this.isShared ? rows.filter(({ server }) => server === this.server) : rows;
    this.#delivered.push(...own.map(({ seq }) => seq));
  }

  get hasDelivered(): boolean {
    return this.#delivered.length > 0;
  }

  /** What is to be done with one commit. */
  begin(): Upkeep {
    const seqs = this.#delivered;
    this.#delivered = [];
    return {
      write: async (em) => {
        if (!this.isShared) return pruneOutbox(em, seqs);
        await markDelivered(em, seqs);
        if (this.now() - this.#lastDeletion >= DELETE_EVERY_MS) await this.#deleteOld(em);
      },
      failed: () => this.#delivered.push(...seqs),
    };
  }

  // By what was seen when, and not by a time in the row: clocks of servers differ, and step.
  async #deleteOld(em: EntityManager): Promise<void> {
    const now = this.now();
    this.#lastDeletion = now;
    const old = this.#marks.findLast(({ at }) => at <= now - KEEP_MS);
    const head = await readOutboxHead(em, { lock: false });
    this.#marks = [...this.#marks.filter((mark) => mark === old || mark.at > now - KEEP_MS), { at: now, seq: head.seq }];
    // The last that a server may know stays: it compares its commit with the one that it finds.
    if (old !== undefined) await pruneOutboxUpTo(em, old.seq - 1);
  }
}

/** One commit's share of the deletions. */
export interface Upkeep {
  write(em: EntityManager): Promise<void>;
  /** The commit was not made. */
  failed(): void;
}

// --- internal ---

const KEEP_MS = 60_000;
const DELETE_EVERY_MS = 10_000;
