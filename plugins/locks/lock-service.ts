import { randomUUID } from "node:crypto";
import { MezError } from "../../core/errors/error.js";
import type { AuditAuthor } from "../../core/plugin/audit-author.js";
import type { Collection, CollectionSource } from "../../core/plugin/collection.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import type { Clock } from "../../core/time/clock.js";
import type { Role, UserEntry } from "../roles/api.js";
import { LOCKS_COLLECTION, type Lock, type LockEntry, type Locks, type LockTarget, type NewLock } from "./api.js";
import { requireOpenAdmin } from "./last-admin.js";
import { entryOf, isExpired, nameOf } from "./lock.js";
import { deleteLock, findExpiredLocks, findLock, findLocks, findLocksOn, insertLock } from "./lock-repository.js";

export interface LockServiceParts {
  readonly database: Database;
  readonly clock: Clock;
  readonly users: Collection<UserEntry>;
  readonly roles: Collection<Role>;
}

/** The use cases of locks, one transaction each. */
export class LockService implements Locks, CollectionSource<LockEntry> {
  constructor(private readonly parts: LockServiceParts) {}

  /**
   * Locks a target. It may carry several locks, so that the end of a short one does not lift one that was meant to stay.
   * Resolves when the lock is durable.
   * @throws {MezError} `USER_NOT_FOUND`, `ROLE_NOT_FOUND`, because a misspelt lock protects nobody; `LAST_ADMIN`
   */
  async create(lock: NewLock, author: AuditAuthor): Promise<Lock> {
    return this.parts.database.transaction(async (tx) => {
      this.#requireKnown(lock.target);
      const made = await this.place(tx, lock, author.userName ?? "");
      audit(tx, "lock.created", made, author);
      return made;
    });
  }

  async place(tx: Transaction, { target, message, ttlSeconds }: NewLock, createdBy: string): Promise<Lock> {
    const createdAt = this.parts.clock.now();
    const expiresAt = ttlSeconds === null ? null : new Date(createdAt.getTime() + ttlSeconds * 1000);
    const lock: Lock = { id: randomUUID(), target, message, createdBy, createdAt, expiresAt };
    const others = (await findLocks(tx.em)).filter((other) => !isExpired(other, createdAt));
    requireOpenAdmin(this.parts.users, [lock, ...others], target);
    await insertLock(tx.em, lock);
    tx.put(LOCKS_COLLECTION, lock.id, entryOf(lock));
    return lock;
  }

  /** Locks that hold now, newest first. */
  async list(): Promise<readonly Lock[]> {
    const now = this.parts.clock.now();
    return (await this.parts.database.read(findLocks)).filter((lock) => !isExpired(lock, now));
  }

  async entries(): Promise<readonly (readonly [string, LockEntry])[]> {
    return (await this.list()).map((lock) => [lock.id, entryOf(lock)] as const);
  }

  /** @throws {MezError} `LOCK_NOT_FOUND` */
  async delete(id: string, author: AuditAuthor): Promise<Lock> {
    return this.parts.database.transaction(async (tx) => {
      const lock = await findLock(tx.em, id);
      if (lock === null || isExpired(lock, this.parts.clock.now()))
        throw new MezError("LOCK_NOT_FOUND", `there is no lock with id "${printable(id)}"; mezctl locks list shows them`);
      await lift(tx, lock);
      audit(tx, "lock.deleted", lock, author);
      return lock;
    });
  }

  /**
   * Deletes every lock on a target.
   * @throws {MezError} `LOCK_NOT_FOUND`
   */
  async deleteOn(target: LockTarget, author: AuditAuthor): Promise<readonly Lock[]> {
    return this.parts.database.transaction(async (tx) => {
      const now = this.parts.clock.now();
      const held = (await this.liftAll(tx, target)).filter((lock) => !isExpired(lock, now));
      if (held.length === 0) throw new MezError("LOCK_NOT_FOUND", `there is no lock on ${nameOf(target)}`);
      for (const lock of held) audit(tx, "lock.deleted", lock, author);
      return held;
    });
  }

  async liftAll(tx: Transaction, target: LockTarget): Promise<readonly Lock[]> {
    const locks = await findLocksOn(tx.em, target);
    for (const lock of locks) await lift(tx, lock);
    return locks;
  }

  /** Removes what has expired. Takes the writer only when there is something to do. @returns How many. */
  async sweep(): Promise<number> {
    const now = this.parts.clock.now();
    const expired = await this.parts.database.read((em) => findExpiredLocks(em, now));
    if (expired.length === 0) return 0;
    return this.parts.database.transaction(async (tx) => {
      const still = await findExpiredLocks(tx.em, now);
      for (const lock of still) {
        await lift(tx, lock);
        audit(tx, "lock.deleted", lock, {}, { reason: "expired" });
      }
      return still.length;
    });
  }

  #requireKnown({ type, name }: LockTarget): void {
    if (type === "user" && this.parts.users.get(name) === undefined)
      throw new MezError("USER_NOT_FOUND", `there is no user "${printable(name)}" to lock`);
    if (type === "role" && this.parts.roles.get(name) === undefined)
      throw new MezError("ROLE_NOT_FOUND", `there is no role "${printable(name)}" to lock`);
  }
}

// --- internal ---

async function lift(tx: Transaction, lock: Lock): Promise<void> {
  await deleteLock(tx.em, lock.id);
  tx.remove(LOCKS_COLLECTION, lock.id);
}

function audit(
  tx: Transaction,
  type: "lock.created" | "lock.deleted",
  { id, target, message, createdBy, expiresAt }: Lock,
  author: AuditAuthor,
  more: Readonly<Record<string, string>> = {},
): void {
  tx.audit({
    ...author,
    type,
    resourceType: target.type,
    resourceName: target.name,
    metadata: { lock_id: id, message, created_by: createdBy, expires_at: expiresAt?.toISOString() ?? null, ...more },
  });
}

function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, "?").slice(0, 64);
}
