import { MezError } from "../../core/errors/error.js";
import type { Collection } from "../../core/plugin/collection.js";
import type { UserEntry } from "../roles/api.js";
import type { Lock, LockTarget } from "./api.js";
import { nameOf, targetKey, targetsOf } from "./lock.js";

/**
 * Refuses a lock after which no administrator could get in any more to lift it.
 * @param locks Those that would hold, the new one included.
 * @param target Of the new one, for the message.
 * @throws {MezError} `LAST_ADMIN`
 */
export function requireOpenAdmin(users: Collection<UserEntry>, locks: readonly Lock[], target: LockTarget): void {
  if (target.type !== "user" && target.type !== "role") return;
  const locked = new Set(locks.map((lock) => targetKey(lock.target)));
  for (const [user, { roles }] of users.entries()) {
    if (roles.includes(ADMIN) && !targetsOf({ user, roles }).some((each) => locked.has(targetKey(each)))) return;
  }
  throw new MezError(
    "LAST_ADMIN",
    `a lock on ${nameOf(target)} would leave no user with role ${ADMIN} who is not locked; give the role to somebody else first`,
  );
}

// --- internal ---

const ADMIN = "admin";
