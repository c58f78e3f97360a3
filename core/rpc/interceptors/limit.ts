import { MezError } from "../../errors/error.js";
import { networkOf } from "../../plugin/client-network.js";
import type { Clock } from "../../time/clock.js";

/** How many calls without credentials one network may make: `burst` at once, `perSecond` after that. */
export interface AnonymousCallLimit {
  readonly burst: number;
  readonly perSecond: number;
}

const MAX_NETWORKS = 10_000;

/** A token bucket for each client network, see `networkOf`, for calls that anybody may make. Bounded in memory: the oldest is forgotten. */
export class AnonymousCallLimiter {
  readonly #buckets = new Map<string, { tokens: number; at: number }>();

  constructor(
    private readonly limit: AnonymousCallLimit,
    private readonly clock: Clock,
  ) {}

  /** @throws {MezError} `LIMIT_EXCEEDED` */
  admit(address: string): void {
    const now = this.clock.now().getTime();
    const network = networkOf(address);
    const bucket = this.#buckets.get(network) ?? { tokens: this.limit.burst, at: now };
    const tokens = Math.min(this.limit.burst, bucket.tokens + (Math.max(0, now - bucket.at) / 1000) * this.limit.perSecond);
    if (tokens < 1) throw new MezError("LIMIT_EXCEEDED", "too many calls from this address; wait a few seconds");
    this.#buckets.delete(network);
    this.#buckets.set(network, { tokens: tokens - 1, at: now });
    if (this.#buckets.size > MAX_NETWORKS) this.#buckets.delete(this.#buckets.keys().next().value as string);
  }
}
