import type { Collection } from "../../core/plugin/collection.js";
import type { GuardSubject } from "../../core/ports/guard.js";
import type { Clock } from "../../core/time/clock.js";
import type { LockEntry } from "./api.js";
import { isExpired, targetKey, targetsOf } from "./lock.js";

/** A lock that somebody ran into. */
export interface Hit {
  readonly lockId: string;
  readonly lock: LockEntry;
}

/** Looks locks up by what they hit, in the live copy. Costs a map look-up for each name that the subject has. */
export class LockBook {
  #byTarget: ReadonlyMap<string, readonly Hit[]> | null = null;
  readonly #stop: () => void;

  constructor(
    private readonly locks: Collection<LockEntry>,
    private readonly clock: Clock,
  ) {
    this.#stop = locks.onChange(() => {
      this.#byTarget = null;
    });
  }

  /** The first lock that holds now and names the subject or anything that it is; `null` when there is none. */
  hit(subject: GuardSubject): Hit | null {
    if (this.locks.size === 0) return null;
    this.#byTarget ??= index(this.locks);
    const now = this.clock.now();
    for (const target of targetsOf(subject)) {
      const held = this.#byTarget.get(targetKey(target))?.find(({ lock }) => !isExpired(lock, now));
      if (held !== undefined) return held;
    }
    return null;
  }

  dispose(): void {
    this.#stop();
  }
}

// --- internal ---

function index(locks: Collection<LockEntry>): ReadonlyMap<string, readonly Hit[]> {
  const byTarget = new Map<string, Hit[]>();
  for (const [lockId, lock] of locks.entries()) {
    const key = targetKey(lock.target);
    byTarget.set(key, [...(byTarget.get(key) ?? []), { lockId, lock }]);
  }
  return byTarget;
}
