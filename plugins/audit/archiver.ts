import { setImmediate as nextTurn } from "node:timers/promises";
import { MezError } from "../../core/errors/error.js";
import type { Database } from "../../core/plugin/database.js";
import type { Clock } from "../../core/time/clock.js";
import { lastSegment, type PlannedSegment, planSegment, sealSegment } from "./archive-repository.js";
import { type PackedSegment, packSegment, type Segment } from "./archive-segment.js";
import type { ArchiveStore } from "./archive-store.js";
import { type ChainEnds, readChain, readEnds } from "./audit-repository.js";
import type { AuditRow } from "./audit-row.js";

export interface ArchiverParts {
  readonly database: Database;
  readonly store: ArchiveStore;
  readonly clock: Clock;
  /** Default 10000. */
  readonly maxSegmentEvents?: number;
}

/**
 * Copies events that are not in the archive yet into it, in files of one day each. What goes into a file is written down
 * before it is made, and always makes the same bytes: so it may be stopped anywhere, begun again, and run twice at once.
 */
export class Archiver {
  constructor(private readonly parts: ArchiverParts) {}

  /**
   * Archives all events there are at the beginning.
   * Yields each segment once the archive holds it.
   * @throws {MezError} `AUDIT_CHAIN_BROKEN`: then nothing from there on is archived
   */
  async *run(userName: string): AsyncGenerator<Segment, void> {
    const { database, store } = this.parts;
    const ends = await database.read(readEnds);
    if (ends === null) throw new MezError("AUDIT_CHAIN_BROKEN", "the record of the last event is missing");
    for (;;) {
      const segment = await this.#next(ends);
      if (segment === null) return;
      const packed = await packSegment(segment, await this.#rowsOf(segment));
      await this.#write(packed);
      await database.transaction(async (tx) => {
        if (await sealSegment(tx.em, store.name, segment))
          tx.audit({
            type: "audit.archived",
            userName,
            metadata: { destination: store.name, first_seq: segment.firstSeq, last_seq: segment.lastSeq },
          });
      });
      yield segment;
    }
  }

  /** The segment that was begun and not finished, or a new one; `null` when everything is archived. */
  async #next({ base, head }: ChainEnds): Promise<PlannedSegment | null> {
    const { database, store } = this.parts;
    const last = await database.read((em) => lastSegment(em, store.name));
    if (last !== null && !last.sealed) return last;
    const isBehind = last === null || last.lastSeq < base.seq;
    const from = isBehind ? { ...base, day: "" } : { seq: last.lastSeq, hash: last.lastHash, day: last.day };
    const rows = await this.#collect(from, head.seq);
    const [first, end] = [rows[0], rows.at(-1)];
    if (first === undefined || end === undefined || rows.every(({ eventType }) => OWN_EVENTS.has(eventType))) return null;
    const segment = {
      ...{ firstSeq: first.seq, lastSeq: end.seq, previousHash: from.hash, lastHash: end.hash },
      day: this.#dayOf(first, from.day),
    };
    return database.transaction((tx) => planSegment(tx.em, store.name, segment));
  }

  /** The next events that belong to one day. */
  async #collect(from: { readonly seq: number; readonly day: string }, lastSeq: number): Promise<readonly AuditRow[]> {
    const { database, maxSegmentEvents = 10_000 } = this.parts;
    const rows: AuditRow[] = [];
    let characters = 0;
    for (let { seq } = from; ; ) {
      const limit = Math.min(READ_EVENTS, maxSegmentEvents - rows.length);
      await nextTurn(); // logins go on meanwhile
      const batch = await database.read((em) => readChain(em, seq, limit));
      for (const row of batch) {
        const first = rows[0] ?? row;
        const isOtherDay = this.#dayOf(row, from.day) > this.#dayOf(first, from.day);
        if (row.seq > lastSeq || isOtherDay || characters > MAX_SEGMENT_CHARACTERS) return rows;
        rows.push(row);
        characters += row.metadata.length + row.errorMessage.length + ROW_CHARACTERS;
        seq = row.seq;
      }
      if (batch.length < limit || rows.length === maxSegmentEvents) return rows;
    }
  }

  async #rowsOf({ firstSeq, lastSeq }: Segment): Promise<readonly AuditRow[]> {
    const rows: AuditRow[] = [];
    for (let seq = firstSeq - 1; seq < lastSeq; ) {
      await nextTurn();
      const batch = await this.parts.database.read((em) => readChain(em, seq, Math.min(READ_EVENTS, lastSeq - seq)));
      const wanted = batch.filter((row) => row.seq <= lastSeq);
      rows.push(...wanted);
      if (wanted.length === 0) break;
      seq = wanted.at(-1)?.seq ?? lastSeq;
    }
    return rows;
  }

  /** The manifest comes last: a file without one does not count. Both are read back, because a store may say yes too early. */
  async #write({ fileKey, file, manifestKey, manifest }: PackedSegment): Promise<void> {
    const { store } = this.parts;
    await store.put(fileKey, file, "application/gzip");
    await store.put(manifestKey, manifest, "application/json");
    for (const [key, bytes] of [
      [fileKey, file],
      [manifestKey, manifest],
    ] as const) {
      const held = await store.read(key);
      if (held === null || !held.equals(bytes))
        throw new MezError("UNAVAILABLE", `${store.name} does not give back what was written to ${key}; try again`);
    }
  }

  /** Late events count to the day in which the log was when they came, and none is of tomorrow. */
  #dayOf(row: AuditRow, dayBefore: string): string {
    const today = this.parts.clock.now().toISOString().slice(0, 10);
    const day = row.timestamp.toISOString().slice(0, 10);
    if (day < dayBefore) return dayBefore;
    if (day > today) return today;
    return day;
  }
}

// --- internal ---

/** Events that archiving itself makes: alone they are no reason for one more file. */
const OWN_EVENTS: ReadonlySet<string> = new Set(["audit.archived", "audit.pruned"]);
const READ_EVENTS = 200;
const MAX_SEGMENT_CHARACTERS = 32 * 1024 * 1024;
const ROW_CHARACTERS = 600; // the other fields, roughly
