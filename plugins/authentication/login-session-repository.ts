import { defineEntity, type EntityManager, p } from "@mikro-orm/core";

export const LoginSessionRecord = defineEntity({
  name: "LoginSessionRecord",
  tableName: "login_sessions",
  properties: {
    id: p.text().primary(),
    tokenHash: p.text(),
    userName: p.text(),
    createdAt: p.datetime(),
    expiresAt: p.datetime(),
    lastUsedAt: p.datetime(),
    clientAddress: p.text(),
    device: p.text().nullable(),
  },
});

/** A login session as it is stored; the token itself is nowhere. */
export interface LoginSession {
  /** UUID; names the session in the audit log. */
  readonly id: string;
  readonly tokenHash: string;
  readonly userName: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  /** To the minute. */
  readonly lastUsedAt: Date;
  readonly clientAddress: string;
  /** Id of the device that it was opened at, `null` for none that was shown. */
  readonly device: string | null;
}

/** Stores a new login session. */
export async function insertSession(em: EntityManager, session: LoginSession): Promise<void> {
  await em.insert(LoginSessionRecord, { ...session });
}

/** A session by the hash of its token, `null` when there is none; it may have expired. */
export async function findSession(em: EntityManager, tokenHash: string): Promise<LoginSession | null> {
  return fromRecord(await em.findOne(LoginSessionRecord, { tokenHash }));
}

/** A session by its id, `null` when there is none; it may have expired. */
export async function findSessionById(em: EntityManager, id: string): Promise<LoginSession | null> {
  return fromRecord(await em.findOne(LoginSessionRecord, { id }));
}

/** Whether a session has not been ended; it may have expired. */
export async function hasSession(em: EntityManager, id: string): Promise<boolean> {
  // By hand, because each certificate comes through here: an entity takes ten times as long.
  const sql = "select 1 as one from login_sessions where id = ?";
  return (await em.getConnection().execute<unknown[]>(sql, [id], "all", em.getTransactionContext())).length > 0;
}

/** Deletes a session; one that is gone already is no error. */
export async function deleteSession(em: EntityManager, id: string): Promise<void> {
  await em.nativeDelete(LoginSessionRecord, { id });
}

/** Ends all login sessions of a user, or all but one. */
export async function deleteSessionsOf(em: EntityManager, userName: string, exceptId?: string): Promise<void> {
  await em.nativeDelete(LoginSessionRecord, exceptId === undefined ? { userName } : { userName, id: { $ne: exceptId } });
}

/** Deletes the sessions that have ended by `now`. */
export async function deleteExpiredSessions(em: EntityManager, now: Date): Promise<void> {
  await em.nativeDelete(LoginSessionRecord, { expiresAt: { $lte: now } });
}

/** Tells whether `deleteExpiredSessions` would find any. */
export async function hasExpiredSessions(em: EntityManager, now: Date): Promise<boolean> {
  return (await em.count(LoginSessionRecord, { expiresAt: { $lte: now } })) > 0;
}

/** Notes when a session was last used. */
export async function markSessionUsed(em: EntityManager, id: string, lastUsedAt: Date): Promise<void> {
  await em.nativeUpdate(LoginSessionRecord, { id }, { lastUsedAt });
}

// --- internal ---

type LoginSessionRow = Omit<LoginSession, "device"> & { readonly device?: string | null };

function fromRecord(row: LoginSessionRow | null): LoginSession | null {
  return row === null ? null : { ...row, device: row.device ?? null };
}
