import { defineEntity, type EntityManager, p } from "@mikro-orm/core";
import type { Entities } from "../../core/plugin/database.js";
import type { Lock, LockTarget, LockTargetType } from "./api.js";

const LockRecord = defineEntity({
  name: "LockRecord",
  tableName: "locks",
  properties: {
    id: p.text().primary(),
    targetType: p.text(),
    targetName: p.text(),
    message: p.text(),
    createdBy: p.text(),
    createdAt: p.datetime(),
    expiresAt: p.datetime().nullable(),
  },
});

export const LOCK_ENTITIES: Entities = [LockRecord];

/** Stores a new lock. */
export async function insertLock(em: EntityManager, { target, ...lock }: Lock): Promise<void> {
  await em.insert(LockRecord, { ...lock, targetType: target.type, targetName: target.name });
}

/** Every lock, also expired ones that have not been removed yet; newest first. */
export async function findLocks(em: EntityManager): Promise<readonly Lock[]> {
  const records = await em.find(LockRecord, {}, { orderBy: { createdAt: "desc", id: "asc" } });
  return records.map(fromRecord);
}

/** A lock by its id, `null` when there is none. */
export async function findLock(em: EntityManager, id: string): Promise<Lock | null> {
  const record = await em.findOne(LockRecord, { id });
  return record === null ? null : fromRecord(record);
}

/** The locks on one target, newest first. */
export async function findLocksOn(em: EntityManager, { type, name }: LockTarget): Promise<readonly Lock[]> {
  const where = { targetType: type, targetName: name };
  const records = await em.find(LockRecord, where, { orderBy: { createdAt: "desc", id: "asc" } });
  return records.map(fromRecord);
}

/** The locks that have expired at `now`. */
export async function findExpiredLocks(em: EntityManager, now: Date): Promise<readonly Lock[]> {
  return (await em.find(LockRecord, { expiresAt: { $lte: now } }, { orderBy: { id: "asc" } })).map(fromRecord);
}

/** Deletes a lock; one that is gone already is no error. */
export async function deleteLock(em: EntityManager, id: string): Promise<void> {
  await em.nativeDelete(LockRecord, { id });
}

// --- internal ---

interface StoredLock {
  readonly id: string;
  readonly targetType: string;
  readonly targetName: string;
  readonly message: string;
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly expiresAt?: Date | null;
}

function fromRecord({ id, targetType, targetName, message, createdBy, createdAt, expiresAt }: StoredLock): Lock {
  const target = { type: targetType as LockTargetType, name: targetName };
  return { id, target, message, createdBy, createdAt, expiresAt: expiresAt ?? null };
}
