import type { ClusterSettings } from "../../core/plugin/cluster-settings.js";
import type { Collection, Collections } from "../../core/plugin/collection.js";
import type { Guard, GuardRefusal, GuardSubject } from "../../core/ports/guard.js";
import { formatDuration } from "../../core/time/duration.js";
import { MACHINE_PREFIX, MACHINES_COLLECTION, USERS_COLLECTION, type UserEntry } from "../roles/api.js";
import { LOCK_MODE, LOCKS_COLLECTION } from "./api.js";
import { sentenceFor } from "./lock.js";
import type { Hit, LockBook } from "./lock-book.js";

export interface LockGuardParts {
  readonly book: LockBook;
  readonly collections: Pick<Collections, "of" | "silentSeconds">;
  readonly settings: Pick<ClusterSettings, "get">;
  /** Seconds of silence after which a strict guard lets nobody in, because a lock may have been missed. */
  readonly staleAfterSeconds: number;
}

/** Refuses whoever is locked, and everybody when it cannot know. */
export class LockGuard implements Guard {
  readonly #users: Collection<UserEntry>;
  readonly #machines: Collection<UserEntry>;

  constructor(private readonly parts: LockGuardParts) {
    this.#users = parts.collections.of(USERS_COLLECTION);
    this.#machines = parts.collections.of(MACHINES_COLLECTION);
  }

  refusal(subject: GuardSubject): GuardRefusal | null {
    const hit = this.hit(subject);
    if (hit !== null) return { message: sentenceFor(hit.lock), detail: `lock ${hit.lockId}` };
    return this.#isAgentAlone(subject) ? null : this.#silence();
  }

  /** The lock on the subject. A role counts when the subject names it, and when its user or machine holds it now. */
  hit(subject: GuardSubject): Hit | null {
    const held = this.#rolesHeld(subject);
    return this.parts.book.hit(held.length === 0 ? subject : { ...subject, roles: [...(subject.roles ?? []), ...held] });
  }

  onChange(listener: () => void): () => void {
    const { collections } = this.parts;
    // A user who is given a locked role is locked from then on.
    const sources = [collections.of(LOCKS_COLLECTION), this.#users, this.#machines];
    const stops = sources.map((source) => source.onChange(listener));
    return () => stops.forEach((stop) => void stop());
  }

  #rolesHeld({ user, agentIdentity }: GuardSubject): readonly string[] {
    if (user !== undefined) return this.#users.get(user)?.roles ?? [];
    return agentIdentity === undefined ? [] : (this.#machines.get(`${MACHINE_PREFIX}${agentIdentity}`)?.roles ?? []);
  }

  /** An agent that only wants to connect is let through the silence: nobody reaches it without a session of its own. */
  #isAgentAlone({ user, agentIdentity, instance }: GuardSubject): boolean {
    return user === undefined && agentIdentity === undefined && instance === undefined;
  }

  #silence(): GuardRefusal | null {
    const { collections, settings, staleAfterSeconds } = this.parts;
    const seconds = collections.silentSeconds();
    if (seconds <= staleAfterSeconds || settings.get(LOCK_MODE) === "best_effort") return null;
    const since = Number.isFinite(seconds) ? `for ${formatDuration(seconds)}` : "yet";
    return {
      message: `locks cannot be checked: nothing was heard from the auth service ${since}; try again when it is back`,
      detail: `the stream of locks is silent ${since}; lock_stale_after is ${formatDuration(staleAfterSeconds)}`,
    };
  }
}
