import { defineEntity, type EntityManager, p } from "@mikro-orm/core";
import type { Entities } from "../../core/plugin/database.js";
import type { Segment } from "./archive-segment.js";

const SegmentRecord = defineEntity({
  name: "AuditSegmentRecord",
  tableName: "audit_segments",
  primaryKeys: ["destination", "firstSeq"],
  properties: {
    destination: p.text().primary(),
    firstSeq: p.bigint("number").primary(),
    lastSeq: p.bigint("number"),
    previousHash: p.text(),
    lastHash: p.text(),
    day: p.text(),
    sealed: p.boolean(),
  },
});

export const ARCHIVE_ENTITIES: Entities = [SegmentRecord];

/** A segment that is planned, and sealed once the archive is known to hold it. */
export interface PlannedSegment extends Segment {
  readonly sealed: boolean;
}

/** The segment with which the archive at `destination` ends so far; `null` for an empty one. */
export async function lastSegment(em: EntityManager, destination: string): Promise<PlannedSegment | null> {
  const rows = await em.find(
    SegmentRecord,
    { destination },
    { orderBy: { firstSeq: "desc" }, limit: 1, disableIdentityMap: true },
  );
  return rows[0] ?? null;
}

/** Remembers what goes into the next file, unless somebody else has: two then write the same. */
export async function planSegment(em: EntityManager, destination: string, segment: Segment): Promise<PlannedSegment> {
  const known = await em.findOne(SegmentRecord, { destination, firstSeq: segment.firstSeq }, { disableIdentityMap: true });
  if (known !== null) return known;
  await em.insert(SegmentRecord, { destination, ...segment, sealed: false });
  return { ...segment, sealed: false };
}

/** @returns Whether it was not sealed before. */
export async function sealSegment(em: EntityManager, destination: string, { firstSeq }: Segment): Promise<boolean> {
  return (await em.nativeUpdate(SegmentRecord, { destination, firstSeq, sealed: false }, { sealed: true })) === 1;
}

/** The sealed segments that hold events after `seq`, in order. */
export async function sealedSegmentsAfter(em: EntityManager, destination: string, seq: number): Promise<readonly Segment[]> {
  return em.find(
    SegmentRecord,
    { destination, sealed: true, lastSeq: { $gt: seq } },
    { orderBy: { firstSeq: "asc" }, disableIdentityMap: true },
  );
}
