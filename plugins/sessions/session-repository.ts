import { defineEntity, type EntityManager, type InferEntity, p } from "@mikro-orm/core";
import type { Entities } from "../../core/plugin/database.js";
import type { SessionTermination } from "./api.js";
import type { LiveSessionRow } from "./live-session.js";

const LiveSessionRecord = defineEntity({
  name: "LiveSessionRecord",
  tableName: "live_sessions",
  properties: {
    id: p.text().primary(),
    kind: p.text(),
    userName: p.text(),
    roles: p.text(),
    login: p.text(),
    node: p.text(),
    clientAddress: p.text(),
    startedAt: p.datetime(3),
    endedAt: p.datetime(3).nullable(),
    reporter: p.text(),
    lastNumber: p.integer(),
  },
});

const TerminationRecord = defineEntity({
  name: "SessionTerminationRecord",
  tableName: "session_terminations",
  properties: { sessionId: p.text().primary(), reason: p.text(), terminatedBy: p.text(), terminatedAt: p.datetime(3) },
});

const ReporterRecord = defineEntity({
  name: "SessionReporterRecord",
  tableName: "session_reporters",
  properties: { reporter: p.text().primary(), heardAt: p.datetime(3) },
});

export const SESSION_ENTITIES: Entities = [LiveSessionRecord, TerminationRecord, ReporterRecord];

/** When these processes were last heard of, by any auth server. */
export async function findReporters(em: EntityManager, reporters: readonly string[]): Promise<ReadonlyMap<string, Date>> {
  const found = new Map<string, Date>();
  for (let first = 0; first < reporters.length; first += REPORTERS_AT_ONCE) {
    const some = reporters.slice(first, first + REPORTERS_AT_ONCE);
    const records = await em.find(ReporterRecord, { reporter: { $in: some } }, { disableIdentityMap: true });
    for (const { reporter, heardAt } of records) found.set(reporter, heardAt);
  }
  return found;
}

/** Stores when processes were last heard of, in place of what was stored before. */
export async function saveReporters(em: EntityManager, heard: ReadonlyMap<string, Date>): Promise<void> {
  if (heard.size === 0) return;
  // By hand, because every node comes through here: the query builder takes many times as long.
  const sql = `insert into session_reporters (reporter, heard_at) values ${[...heard].map(() => "(?, ?)").join(", ")}
    on conflict (reporter) do update set heard_at = excluded.heard_at`;
  await em.getConnection().execute(sql, [...heard].flat(), "run", em.getTransactionContext());
}

/** Forgets processes that were not heard of since a time. */
export async function deleteReportersBefore(em: EntityManager, time: Date): Promise<void> {
  await em.nativeDelete(ReporterRecord, { heardAt: { $lt: time } });
}

/** A session by its id, `null` when there is none; it may have ended. */
export async function findSession(em: EntityManager, id: string): Promise<LiveSessionRow | null> {
  const record = await em.findOne(LiveSessionRecord, { id }, { disableIdentityMap: true });
  return record === null ? null : fromRecord(record);
}

/** Those that are under way, oldest first. */
export async function findLiveSessions(em: EntityManager, reporter?: string): Promise<readonly LiveSessionRow[]> {
  const where = { endedAt: null, ...(reporter === undefined ? {} : { reporter }) };
  const orderBy = { startedAt: "asc", id: "asc" } as const;
  return (await em.find(LiveSessionRecord, where, { orderBy, disableIdentityMap: true })).map(fromRecord);
}

/** Whether a process has told of a session that is under way. By hand: every agent asks when all of them connect. */
export async function hasLiveSessions(em: EntityManager, reporter: string): Promise<boolean> {
  const sql = "select 1 from live_sessions where reporter = ? and ended_at is null limit 1";
  const rows = await em.getConnection().execute<unknown[]>(sql, [reporter], "all", em.getTransactionContext());
  return rows.length > 0;
}

/** How many sessions of a user are under way. */
export async function countLiveSessions(em: EntityManager, userName: string): Promise<number> {
  return em.count(LiveSessionRecord, { userName, endedAt: null });
}

/** Writes a session, new or known. */
export async function saveSession(em: EntityManager, row: LiveSessionRow): Promise<void> {
  const { id, kind, user, roles, login, node, clientAddress, startedAt, endedAt, reporter, lastNumber } = row;
  await em.upsert(LiveSessionRecord, {
    ...{ id, kind, login, node, clientAddress, startedAt, endedAt, reporter, lastNumber },
    userName: user,
    roles: JSON.stringify(roles),
  });
}

/** Takes one event as seen. */
export async function saveProgress(
  em: EntityManager,
  id: string,
  progress: { readonly lastNumber: number; readonly endedAt?: Date },
): Promise<void> {
  await em.nativeUpdate(LiveSessionRecord, { id }, { ...progress });
}

/** Tells whether any stored session ended before a moment. */
export async function hasEndedBefore(em: EntityManager, moment: Date): Promise<boolean> {
  return (await em.count(LiveSessionRecord, { endedAt: { $lt: moment } })) > 0;
}

/** @returns How many were deleted. */
export async function deleteEndedBefore(em: EntityManager, moment: Date): Promise<number> {
  return em.nativeDelete(LiveSessionRecord, { endedAt: { $lt: moment } });
}

/** Stores the word that ends a session, in place of an earlier one. */
export async function saveTermination(em: EntityManager, sessionId: string, termination: SessionTermination): Promise<void> {
  const { reason, by, at } = termination;
  await em.upsert(TerminationRecord, { sessionId, reason, terminatedBy: by, terminatedAt: new Date(at) });
}

/** The words that end sessions, by session id. */
export async function findTerminations(em: EntityManager): Promise<readonly (readonly [string, SessionTermination])[]> {
  const records = await em.findAll(TerminationRecord, { disableIdentityMap: true });
  return records.map(({ sessionId, reason, terminatedBy, terminatedAt }) => [
    sessionId,
    { reason, by: terminatedBy, at: terminatedAt.toISOString() },
  ]);
}

/** @returns The sessions whose terminations are gone. */
export async function deleteTerminationsBefore(em: EntityManager, moment: Date): Promise<readonly string[]> {
  const old = await em.find(TerminationRecord, { terminatedAt: { $lt: moment } }, { disableIdentityMap: true });
  const ids = old.map(({ sessionId }) => sessionId);
  if (ids.length > 0) await em.nativeDelete(TerminationRecord, { sessionId: { $in: ids } });
  return ids;
}

// --- internal ---

const REPORTERS_AT_ONCE = 500;

function fromRecord(record: InferEntity<typeof LiveSessionRecord>): LiveSessionRow {
  const { id, login, node, clientAddress, startedAt, reporter, lastNumber } = record;
  return {
    ...{ id, login, node, clientAddress, startedAt, reporter, lastNumber },
    kind: "ssh",
    user: record.userName,
    roles: JSON.parse(record.roles) as string[],
    endedAt: record.endedAt ?? null,
  };
}
