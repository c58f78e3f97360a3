import type { Clock } from "../../core/time/clock.js";
import type { AccessGrant, Holdings } from "./api.js";

/** A live copy of the grants: what is used of a collection. */
export interface GrantSource {
  values(): Iterable<AccessGrant>;
  onChange(listener: () => void): () => void;
}

/**
 * Grants by person. The auth service takes a grant away when it ends; that it ends is decided by the clock all the same, in
 * case the auth service cannot be heard at that moment.
 */
export class LiveGrants {
  #byUser: Map<string, readonly AccessGrant[]> | null = null;
  readonly #holdings = new Map<string, { readonly own: readonly string[]; readonly held: Holdings }>();
  readonly #listeners = new Set<(user: string) => void>();

  constructor(
    private readonly source: GrantSource,
    private readonly clock: Clock,
  ) {}

  /** Calls `listener` with each person whose grants have changed. Returns the way to stop. */
  onChange(listener: (user: string) => void): () => void {
    this.#listeners.add(listener);
    const stop = this.source.onChange(() => {
      const before = this.#grouped();
      this.#byUser = null;
      for (const user of new Set([...before.keys(), ...this.#grouped().keys()])) this.#changed(user);
    });
    return () => {
      stop();
      this.#listeners.delete(listener);
    };
  }

  /** @param own The roles that the person has anyway. The same answer is the same object until something changes. */
  holdings(user: string, own: readonly string[]): Holdings {
    this.dropExpired(user);
    const grants = this.#grouped().get(user);
    if (grants === undefined) return { roles: own, until: null };
    const known = this.#holdings.get(user);
    if (known?.own === own) return known.held;
    const adding = grants.filter(({ roles }) => roles.some((role) => !own.includes(role)));
    const held: Holdings = {
      roles: [...new Set([...own, ...adding.flatMap(({ roles }) => roles)])],
      until: adding.length === 0 ? null : new Date(Math.min(...adding.map(endOf))),
    };
    this.#holdings.set(user, { own, held });
    return held;
  }

  /** Names of the single nodes that were granted. */
  nodes(user: string): ReadonlySet<string> {
    return new Set((this.#grouped().get(user) ?? []).flatMap(({ nodes }) => nodes));
  }

  /** Forgets the person's grants that have ended, and tells the listeners. */
  dropExpired(user: string): void {
    const grants = this.#grouped().get(user);
    if (grants === undefined) return;
    const now = this.clock.now().getTime();
    if (grants.every((grant) => endOf(grant) > now)) return;
    const left = grants.filter((grant) => endOf(grant) > now);
    if (left.length === 0) this.#grouped().delete(user);
    else this.#grouped().set(user, left);
    this.#changed(user);
  }

  #grouped(): Map<string, readonly AccessGrant[]> {
    if (this.#byUser !== null) return this.#byUser;
    const grouped = new Map<string, readonly AccessGrant[]>();
    for (const grant of this.source.values()) grouped.set(grant.user, [...(grouped.get(grant.user) ?? []), grant]);
    this.#byUser = grouped;
    return grouped;
  }

  #changed(user: string): void {
    this.#holdings.delete(user);
    for (const listener of this.#listeners) listener(user);
  }
}

// --- internal ---

function endOf({ until }: AccessGrant): number {
  return Date.parse(until);
}
