import { setImmediate as nextTurn } from "node:timers/promises";
import { isMezError } from "../../core/errors/error.js";
import type { Database } from "../../core/plugin/database.js";
import { type ChainEnds, type ChainHead, readChain, readEnds, readHead } from "./audit-repository.js";
import type { AuditRow } from "./audit-row.js";
import { chainHash, GENESIS_HASH } from "./canonical-row.js";

/** What a verification found. */
export type ChainVerdict =
  | {
      readonly intact: true;
      readonly checked: number;
      /** Events before those that were checked, which are in the archive alone. */
      readonly unchecked: number;
    }
  | {
      readonly intact: false;
      readonly checked: number;
      /** Number of the first event that does not fit. */
      readonly firstBad: number;
      readonly reason: string;
    };

/** Recomputes the chain. Remembers how far it was right, and so also sees a log that was rewritten or cut while it ran. */
export class ChainVerifier {
  #known: ChainHead = START;

  constructor(
    private readonly database: Database,
    private readonly batchSize = 500,
  ) {}

  /**
   * Yields the number of events checked, after each batch; returns the verdict.
   * @param archive The archive's events in the order of the chain, when it is to be checked as well. It may throw
   * `AUDIT_CHAIN_BROKEN`.
   */
  async *verify(archive?: () => AsyncIterable<readonly AuditRow[]>): AsyncGenerator<number, ChainVerdict> {
    for (;;) {
      const ends = await this.database.read(readEnds);
      if (ends === null) return bad(0, 1, "the record of the last event is missing");
      const archived: ChainHead & { readonly problem?: string } =
        archive === undefined ? { ...START } : yield* this.#readArchive(archive());
      if (archived.problem !== undefined) return bad(archived.seq, archived.seq + 1, archived.problem);
      const verdict = yield* this.#verifyDatabase(ends, archive === undefined ? null : archived);
      if (verdict.intact) return verdict;
      const now = await this.database.read(readEnds);
      // Archived events were removed under our hands: what looked like a gap may be none.
      if (now === null || now.base.seq === ends.base.seq) return verdict;
    }
  }

  /** How far the archive is in order, and what is wrong after that. */
  async *#readArchive(
    archive: AsyncIterable<readonly AuditRow[]>,
  ): AsyncGenerator<number, ChainHead & { readonly problem?: string }> {
    let last = START;
    try {
      for await (const rows of archive) {
        for (const row of rows) {
          if (row.seq <= last.seq) continue;
          const problem = this.#misfit(row, last);
          if (problem !== null) return { ...last, problem: `in the archive, ${problem}` };
          last = { seq: row.seq, hash: row.hash };
        }
        yield last.seq;
      }
    } catch (error) {
      if (isMezError(error, "AUDIT_CHAIN_BROKEN")) return { ...last, problem: error.message };
      throw error;
    }
    return last;
  }

  /** @param archived Where the archive ends; `null` when it is not looked at. */
  async *#verifyDatabase({ base, head }: ChainEnds, archived: ChainHead | null): AsyncGenerator<number, ChainVerdict> {
    const skipped = archived === null ? base.seq : 0;
    if (head.seq < this.#known.seq)
      return bad(0, head.seq + 1, `events ${head.seq + 1} to ${this.#known.seq} were removed with the record of them`);
    if (archived !== null && archived.seq < base.seq)
      return bad(archived.seq, archived.seq + 1, `events ${archived.seq + 1} to ${base.seq} are not in the archive`);
    if (archived !== null && archived.seq > head.seq)
      return bad(head.seq, head.seq + 1, `events ${head.seq + 1} to ${archived.seq} are in the archive, but were removed here`);
    let last: ChainHead = base;
    if (parts(last, archived)) return bad(last.seq, last.seq, ARCHIVE_DIFFERS);
    for (;;) {
      const rows = await this.database.read((em) => readChain(em, last.seq, this.batchSize));
      for (const row of rows) {
        // Rows beyond the head came while we were checking, or do not belong there: the end tells.
        if (row.seq > head.seq) break;
        const reason = this.#misfit(row, last);
        if (reason !== null) return bad(last.seq - skipped, last.seq + 1, reason);
        last = { seq: row.seq, hash: row.hash };
        if (parts(last, archived)) return bad(last.seq, last.seq, ARCHIVE_DIFFERS);
      }
      yield last.seq - skipped;
      if (rows.length < this.batchSize || last.seq >= head.seq) break;
      await nextTurn();
    }
    const reason = await this.#misfitAtEnd(last, head);
    if (reason !== null) return bad(last.seq - skipped, reason.seq, reason.text);
    this.#known = last;
    return { intact: true, checked: last.seq - skipped, unchecked: skipped };
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

const START: ChainHead = { seq: 0, hash: GENESIS_HASH };
const ARCHIVE_DIFFERS = "the archive and the database tell different stories up to here";

/** Whether this is the event with which the archive ends, and yet another one. */
function parts(here: ChainHead, archived: ChainHead | null): boolean {
  return archived !== null && archived.seq === here.seq && archived.hash !== here.hash;
}

function bad(checked: number, firstBad: number, reason: string): ChainVerdict {
  return { intact: false, checked, firstBad, reason };
}
