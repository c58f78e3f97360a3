import { setImmediate as nextTurn } from "node:timers/promises";
import { MezError } from "../../core/errors/error.js";
import type { Database } from "../../core/plugin/database.js";
import { sealedSegmentsAfter } from "./archive-repository.js";
import { parseManifest, type Segment, segmentFiles } from "./archive-segment.js";
import type { ArchiveStore } from "./archive-store.js";
import { firstSeqSince, readChain, readEnds, removeUpTo } from "./audit-repository.js";

export interface PruningRequest {
  /** Events before this moment may go. */
  readonly olderThan: Date;
  /** Events that are still awaited stay: the last one that every forwarder has taken. */
  readonly takenSeq: number;
  /** Events before this moment go even so. */
  readonly olderThanAwaited: Date;
  /** For the audit log. */
  readonly userName: string;
}

/** Removes events from the database that the archive holds, a whole file of it at a time. */
export class ArchivePruner {
  constructor(
    private readonly database: Database,
    private readonly store: ArchiveStore,
  ) {}

  /**
   * @returns How many events were removed.
   * @throws {MezError} `AUDIT_CHAIN_BROKEN` when the archive does not hold what it should: then nothing more is removed
   */
  async prune(request: PruningRequest): Promise<number> {
    const ends = await this.database.read(readEnds);
    if (ends === null) throw new MezError("AUDIT_CHAIN_BROKEN", "the record of the last event is missing");
    const before = async (moment: Date) =>
      ((await this.database.read((em) => firstSeqSince(em, moment))) ?? ends.head.seq + 1) - 1;
    const limit = Math.max(
      Math.min(await before(request.olderThan), request.takenSeq),
      await before(new Date(Math.min(request.olderThan.getTime(), request.olderThanAwaited.getTime()))),
    );
    const segments = await this.database.read((em) => sealedSegmentsAfter(em, this.store.name, ends.base.seq));
    let { seq } = ends.base;
    for (const segment of segments) {
      // A file of another archive may be between: what is not in this one stays.
      if (segment.lastSeq > limit || segment.firstSeq > seq + 1) break;
      await this.#requireHeld(segment);
      await this.#remove(segment, seq, request.userName);
      seq = segment.lastSeq;
    }
    return seq - ends.base.seq;
  }

  async #requireHeld(segment: Segment): Promise<void> {
    const { fileKey, manifestKey } = segmentFiles(segment);
    const bytes = await this.store.read(manifestKey);
    const manifest = bytes === null ? null : parseManifest(manifestKey, bytes);
    if (
      manifest === null ||
      manifest.lastHash !== segment.lastHash ||
      manifest.previousHash !== segment.previousHash ||
      manifest.bytes !== (await this.store.size(fileKey))
    )
      throw new MezError(
        "AUDIT_CHAIN_BROKEN",
        `${this.store.name} does not hold ${fileKey} as it was written; no event from ${segment.firstSeq} on is removed`,
      );
  }

  /** In pieces, so that no login waits for long. */
  async #remove(segment: Segment, baseSeq: number, userName: string): Promise<void> {
    for (let seq = baseSeq; seq < segment.lastSeq; ) {
      await nextTurn();
      const batch = await this.database.read((em) => readChain(em, seq, Math.min(BATCH_EVENTS, segment.lastSeq - seq)));
      const last = batch.at(-1);
      if (last === undefined || last.seq > segment.lastSeq) return; // somebody else was quicker
      await this.database.transaction(async (tx) => {
        await removeUpTo(tx.em, last);
        if (last.seq === segment.lastSeq)
          tx.audit({
            type: "audit.pruned",
            userName,
            metadata: { destination: this.store.name, last_seq: last.seq, last_hash: last.hash },
          });
      });
      seq = last.seq;
    }
  }
}

// --- internal ---

const BATCH_EVENTS = 200;
