import type { Caller } from "../../core/plugin/caller.js";
import type { ChoiceSetting } from "../../core/plugin/cluster-settings.js";
import type { CollectionKind } from "../../core/plugin/collection.js";
import type { ServiceToken } from "../../core/plugin/contract.js";
import type { Transaction } from "../../core/plugin/database.js";

/** What can be locked. An instance of an agent identity and a device are named by their ids, all others by name. */
export type LockTargetType = "user" | "role" | "agent" | "agent_identity" | "agent_identity_instance" | "device";

export interface LockTarget {
  readonly type: LockTargetType;
  readonly name: string;
}

export interface Lock {
  /** UUID. */
  readonly id: string;
  readonly target: LockTarget;
  /** Shown to whoever is locked out; may be empty. */
  readonly message: string;
  /** Name of the user, or of the part of the system, that made it. */
  readonly createdBy: string;
  readonly createdAt: Date;
  /** `null` for a lock that holds until it is deleted. */
  readonly expiresAt: Date | null;
}

/** What proxies and nodes know of a lock. JSON. */
export interface LockEntry {
  readonly target: LockTarget;
  readonly message: string;
  /** ISO 8601, or `null`. From then on the entry means nothing, though it may stay for a while. */
  readonly expiresAt: string | null;
}

/** Every lock by id. */
export const LOCKS_COLLECTION: CollectionKind<LockEntry> = {
  name: "locks",
  version: 1,
  visibleTo: (caller: Caller) => caller.kind === "agent" && (caller.role === "proxy" || caller.role === "node"),
};

/** What a proxy or node does that may have missed a lock. */
export const LOCK_MODE: ChoiceSetting<"strict" | "best_effort"> = {
  key: "lock_mode",
  type: "choice",
  choices: ["strict", "best_effort"],
  default: "strict",
  description: "what proxies and nodes do that may have missed a lock: let nobody new in, or go by the locks they know",
};

export interface NewLock {
  readonly target: LockTarget;
  readonly message: string;
  /** `null` for a lock that holds until it is deleted. */
  readonly ttlSeconds: number | null;
}

/** Locks for other plugins, inside their own transactions. On the auth service. */
export interface Locks {
  /**
   * Locks a target for a reason that the system itself found, e.g. a copied identity. Writes no audit record: the caller
   * knows why, and says so in its own.
   * @param createdBy Shown in the list of locks, e.g. `agent-identities`.
   * @throws {MezError} `LAST_ADMIN`
   */
  place(tx: Transaction, lock: NewLock, createdBy: string): Promise<Lock>;
  /** Deletes every lock on a target that is itself deleted. */
  liftAll(tx: Transaction, target: LockTarget): Promise<readonly Lock[]>;
}

export const LOCKS: ServiceToken<Locks> = { id: "locks", version: 1 };
