import { MezError } from "../errors/error.js";
import type { Clock } from "../time/clock.js";
import { networkOf } from "./client-network.js";

export interface AttemptLimits {
  /** Failures that cost nothing, for one user name and for one address. */
  readonly freePerUser: number;
  readonly freePerAddress: number;
  /** Failures are forgotten when nothing failed for so long. */
  readonly windowSeconds: number;
  /** The wait doubles with each failure, up to this. */
  readonly maxDelaySeconds: number;
}

/** One attempt under way. It counts as failed until it is told otherwise, so that many at once get no free tries. */
export interface Attempt {
  succeeded(): void;
}

/**
 * Slows down guessing: per user name, whether or not the user exists, and per address. Kept in memory: a restart forgets
 * it, and guessing stays bounded by the cost of argon2id. An address from which a user has logged in before has a count of
 * its own, so that a stranger's guesses do not lock the user out.
 */
export class AttemptLimiter {
  readonly #failures = new Map<string, { count: number; last: number }>();
  readonly #knownPairs = new Set<string>();

  constructor(
    private readonly clock: Clock,
    private readonly limits: AttemptLimits,
  ) {}

  /** @throws {MezError} `TOO_MANY_ATTEMPTS` with `retryAfterSeconds` in its fields. */
  begin(userName: string, address: string): Attempt {
    const network = networkOf(address);
    const pair = `${userName.slice(0, 128)}\n${network}`;
    const userKey = this.#knownPairs.has(pair) ? `pair\n${pair}` : `user\n${userName.slice(0, 128)}`;
    const addressKey = `address\n${network}`;
    const wait = Math.max(this.#wait(userKey, this.limits.freePerUser), this.#wait(addressKey, this.limits.freePerAddress));
    if (wait > 0) {
      throw new MezError("TOO_MANY_ATTEMPTS", `too many failed attempts; try again in ${wait}s`, {
        fields: { retryAfterSeconds: wait },
      });
    }
    this.#count(userKey, 1);
    this.#count(addressKey, 1);
    return {
      succeeded: () => {
        this.#failures.delete(userKey);
        this.#count(addressKey, -1);
        trim(this.#knownPairs);
        this.#knownPairs.add(pair);
      },
    };
  }

  /** Whole seconds to wait, 0 for none. */
  #wait(key: string, free: number): number {
    const entry = this.#failures.get(key);
    if (entry === undefined) return 0;
    const passed = (this.clock.now().getTime() - entry.last) / 1000;
    if (passed >= Math.max(this.limits.windowSeconds, this.limits.maxDelaySeconds)) {
      this.#failures.delete(key);
      return 0;
    }
    if (entry.count < free) return 0;
    const delay = Math.min(this.limits.maxDelaySeconds, 2 ** Math.min(30, entry.count - free));
    return Math.max(0, Math.ceil(delay - passed));
  }

  #count(key: string, change: 1 | -1): void {
    const count = (this.#failures.get(key)?.count ?? 0) + change;
    this.#failures.delete(key); // moves it to the end: the oldest go first
    if (count <= 0) return;
    trim(this.#failures);
    this.#failures.set(key, { count, last: this.clock.now().getTime() });
  }
}

// --- internal ---

const MAX_REMEMBERED = 50_000;

function trim(entries: Map<string, unknown> | Set<string>): void {
  if (entries.size < MAX_REMEMBERED) return;
  for (const oldest of entries.keys()) {
    entries.delete(oldest);
    return;
  }
}
