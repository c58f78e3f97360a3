import { setImmediate as nextTurn } from "node:timers/promises";
import type { Database } from "../../core/plugin/database.js";
import { type ChainHead, readChain, readHead } from "./audit-repository.js";
import type { AuditRow } from "./audit-row.js";
import { chainHash, GENESIS_HASH } from "./canonical-row.js";

/** What a verification found. */
export type ChainVerdict =
  | { readonly intact: true; readonly checked: number }
  | {
      readonly intact: false;
      readonly checked: number;
      /** Number of the first event that does not fit. */
      readonly firstBad: number;
      readonly reason: string;
    };

/** Recomputes the chain. Remembers how far it was right, and so also sees a log that was rewritten or cut while it ran. */
export class ChainVerifier {
  #known: ChainHead = { seq: 0, hash: GENESIS_HASH };

  constructor(
    private readonly database: Database,
    private readonly batchSize = 500,
  ) {}

  /** Yields the number of events checked, after each batch; returns the verdict. */
  async *verify(): AsyncGenerator<number, ChainVerdict> {
    const head = await this.database.read(readHead);
    if (head === null) return bad(0, 1, "the record of the last event is missing");
    if (head.seq < this.#known.seq)
      return bad(0, head.seq + 1, `events ${head.seq + 1} to ${this.#known.seq} were removed with the record of them`);
    let last: ChainHead = { seq: 0, hash: GENESIS_HASH };
    for (;;) {
      const rows = await this.database.read((em) => readChain(em, last.seq, this.batchSize));
      for (const row of rows) {
        // Rows beyond the head came while we were checking, or do not belong there: the end tells.
        if (row.seq > head.seq) break;
        const reason = this.#misfit(row, last);
        if (reason !== null) return bad(last.seq, last.seq + 1, reason);
        last = { seq: row.seq, hash: row.hash };
      }
      yield last.seq;
      if (rows.length < this.batchSize || last.seq >= head.seq) break;
      await nextTurn();
    }
    const reason = await this.#misfitAtEnd(last, head);
    if (reason !== null) return bad(last.seq, reason.seq, reason.text);
    this.#known = last;
    return { intact: true, checked: last.seq };
  }

  #misfit(row: AuditRow, last: ChainHead): string | null {
    const expected = last.seq + 1;
    if (row.seq !== expected)
      return row.seq === expected + 1 ? `event ${expected} is missing` : `events ${expected} to ${row.seq - 1} are missing`;
    if (chainHash(last.hash, row) !== row.hash) return `event ${row.seq} (${row.id}) was changed or moved`;
    if (row.seq === this.#known.seq && row.hash !== this.#known.hash)
      return `the log up to event ${row.seq} was rewritten since it was last verified`;
    return null;
  }

  async #misfitAtEnd(last: ChainHead, head: ChainHead): Promise<{ seq: number; text: string } | null> {
    if (last.seq < head.seq) return { seq: last.seq + 1, text: `events ${last.seq + 1} to ${head.seq} are missing at the end` };
    if (last.hash !== head.hash) return { seq: last.seq, text: `event ${last.seq} is not the one that was recorded as the last` };
    return this.database.read(async (em) => {
      const [beyond] = await readChain(em, head.seq, 1);
      const now = await readHead(em);
      if (beyond === undefined || (now !== null && beyond.seq <= now.seq)) return null;
      return { seq: beyond.seq, text: `event ${beyond.seq} was added beside the chain` };
    });
  }
}

// --- internal ---

function bad(checked: number, firstBad: number, reason: string): ChainVerdict {
  return { intact: false, checked, firstBad, reason };
}
