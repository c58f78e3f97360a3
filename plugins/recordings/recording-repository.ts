import { defineEntity, type EntityManager, type FilterQuery, type InferEntity, p } from "@mikro-orm/core";
import type { Recording, RecordingState } from "./recording.js";
import type { Seal } from "./seal.js";

/** What is known of each recording. */
export const RecordingRecord = defineEntity({
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
    abandonedAt: p.datetime(3).nullable(),
    sealStatement: p.text().nullable(),
    sealSignature: p.text().nullable(),
    textState: p.text().nullable().$type<TextState>(),
  },
});

/** What is kept of a recording's text: `stored`, or `left out` because it is too much. `null` before anybody looked. */
export type TextState = "stored" | "left out";

/** A recording as it is searched. */
export type ListedRecording = Recording & { readonly textState: TextState | null };

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
export async function insertRecording(em: EntityManager, { seal, ...recording }: Recording): Promise<void> {
  await em.insert(RecordingRecord, { ...recording, ...sealColumns(seal) });
}

/** A recording by its id, `null` when there is none. */
export async function findRecording(em: EntityManager, id: string): Promise<Recording | null> {
  const record = await em.findOne(RecordingRecord, { id }, { disableIdentityMap: true });
  return record === null ? null : fromRecord(record);
}

/** Newest first. */
export async function listRecordings(
  em: EntityManager,
  filter: RecordingFilter,
  limit: number,
): Promise<readonly ListedRecording[]> {
  const conditions: FilterQuery<RecordingRow>[] = [];
  if (filter.userName) conditions.push({ userName: filter.userName });
  if (filter.before) {
    const { startedAt, id } = filter.before;
    conditions.push({ startedAt: { $lte: startedAt } }, { $or: [{ startedAt: { $lt: startedAt } }, { id: { $lt: id } }] });
  }
  const orderBy = { startedAt: "desc", id: "desc" } as const;
  const records = await em.find(RecordingRecord, { $and: conditions }, { orderBy, limit, disableIdentityMap: true });
  return records.map((record) => ({ ...fromRecord(record), textState: record.textState ?? null }));
}

/** Those that have ended and of whose text nothing is known, newest first. @param except Ids to leave out. */
export async function listUnread(em: EntityManager, except: readonly string[], limit: number): Promise<readonly string[]> {
  const records = await em.find(
    RecordingRecord,
    { textState: null, endedAt: { $ne: null }, ...(except.length === 0 ? {} : { id: { $nin: [...except] } }) },
    { orderBy: { startedAt: "desc" }, limit, fields: ["id"], disableIdentityMap: true },
  );
  return records.map(({ id }) => id);
}

/** Notes what is kept of a recording's text. */
export async function markRead(em: EntityManager, id: string, textState: TextState): Promise<void> {
  await em.nativeUpdate(RecordingRecord, { id }, { textState });
}

/** What is known of a recording that has ended. */
export interface KnownEnd {
  readonly endedAt: Date;
  readonly sizeBytes: number;
  readonly state: RecordingState;
  readonly seal: Seal;
}

/**
 * Notes when a recording ended, how large it is, whether it is whole, and its seal. The first end that its recorder reports counts.
 */
export async function markEnded(em: EntityManager, id: string, { seal, ...facts }: KnownEnd): Promise<void> {
  await em.nativeUpdate(
    RecordingRecord,
    { id, $or: [{ endedAt: null }, { abandonedAt: { $ne: null } }] },
    { ...facts, ...sealColumns(seal), abandonedAt: null, textState: null },
  );
}

/** The same for one whose recorder is gone. `false` when it has ended meanwhile. */
export async function markAbandoned(em: EntityManager, id: string, at: Date, { seal, ...facts }: KnownEnd): Promise<boolean> {
  const changed = { ...facts, ...sealColumns(seal), abandonedAt: at };
  return (await em.nativeUpdate(RecordingRecord, { id, endedAt: null }, changed)) === 1;
}

/** Has a recording grow again whose recorder has come back. `false` when that was noted already. */
export async function markResumed(em: EntityManager, id: string): Promise<boolean> {
  const growing = {
    endedAt: null,
    sizeBytes: null,
    state: "recording",
    ...sealColumns(null),
    abandonedAt: null,
    textState: null,
  };
  return (await em.nativeUpdate(RecordingRecord, { id, abandonedAt: { $ne: null } }, growing)) === 1;
}

/** Those that grow and began before a moment, by id. @param after Id where the page before ended. */
export async function listGrowing(em: EntityManager, before: Date, after: string, limit: number): Promise<readonly Recording[]> {
  const records = await em.find(
    RecordingRecord,
    { endedAt: null, startedAt: { $lt: before }, id: { $gt: after } },
    { orderBy: { id: "asc" }, limit, disableIdentityMap: true },
  );
  return records.map(fromRecord);
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
    abandonedAt: record.abandonedAt ?? null,
    seal: sealOf(record),
  };
}

function sealOf({ sealStatement: statement, sealSignature: signature }: RecordingRow): Seal | null {
  return statement && signature ? { statement, signature } : null;
}

function sealColumns(seal: Seal | null): { sealStatement: string | null; sealSignature: string | null } {
  return { sealStatement: seal?.statement ?? null, sealSignature: seal?.signature ?? null };
}
