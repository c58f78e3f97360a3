import { defineEntity, type EntityManager, type FilterQuery, type InferEntity, p } from "@mikro-orm/core";
import type { Entities } from "../../core/plugin/database.js";
import type { Recording, RecordingState } from "./recording.js";

const RecordingRecord = defineEntity({
  name: "RecordingRecord",
  tableName: "recordings",
  properties: {
    id: p.text().primary(),
    sessionId: p.text(),
    recorder: p.text(),
    userName: p.text(),
    login: p.text(),
    node: p.text(),
    command: p.text(),
    startedAt: p.datetime(3),
    endedAt: p.datetime(3).nullable(),
    sizeBytes: p.bigint("number").nullable(),
    state: p.text(),
  },
});

export const RECORDING_ENTITIES: Entities = [RecordingRecord];

/** Where a page of recordings ends. */
export interface RecordingPageEnd {
  readonly startedAt: Date;
  readonly id: string;
}

export interface RecordingFilter {
  readonly userName?: string;
  /** Where the page before ended. */
  readonly before?: RecordingPageEnd;
}

/** Stores what is known of a new recording. */
export async function insertRecording(em: EntityManager, recording: Recording): Promise<void> {
  await em.insert(RecordingRecord, { ...recording });
}

/** A recording by its id, `null` when there is none. */
export async function findRecording(em: EntityManager, id: string): Promise<Recording | null> {
  const record = await em.findOne(RecordingRecord, { id }, { disableIdentityMap: true });
  return record === null ? null : fromRecord(record);
}

/** Newest first. */
export async function listRecordings(em: EntityManager, filter: RecordingFilter, limit: number): Promise<readonly Recording[]> {
  const conditions: FilterQuery<RecordingRow>[] = [];
  if (filter.userName) conditions.push({ userName: filter.userName });
  if (filter.before) {
    const { startedAt, id } = filter.before;
    conditions.push({ startedAt: { $lte: startedAt } }, { $or: [{ startedAt: { $lt: startedAt } }, { id: { $lt: id } }] });
  }
  const orderBy = { startedAt: "desc", id: "desc" } as const;
  const records = await em.find(RecordingRecord, { $and: conditions }, { orderBy, limit, disableIdentityMap: true });
  return records.map(fromRecord);
}

/** Notes when a recording ended, how large it is, and whether it is whole. */
export async function markEnded(
  em: EntityManager,
  id: string,
  end: { readonly endedAt: Date; readonly sizeBytes: number; readonly state: RecordingState },
): Promise<void> {
  await em.nativeUpdate(RecordingRecord, { id }, { ...end });
}

// --- internal ---

type RecordingRow = InferEntity<typeof RecordingRecord>;

function fromRecord(record: RecordingRow): Recording {
  const { id, sessionId, recorder, userName, login, node, command, startedAt, state } = record;
  return {
    ...{ id, sessionId, recorder, userName, login, node, command, startedAt },
    endedAt: record.endedAt ?? null,
    sizeBytes: record.sizeBytes ?? null,
    state: state as RecordingState,
  };
}
