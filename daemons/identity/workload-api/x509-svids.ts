import { createPrivateKey, generateKeyPair, type KeyObject, X509Certificate } from "node:crypto";
import { promisify } from "node:util";
import { isMezError, MezError, messageOf } from "../../../core/errors/error.js";
import type { Logger } from "../../../core/plugin/logger.js";
import { BackOff } from "../../../core/time/back-off.js";
import type { Clock } from "../../../core/time/clock.js";
import type { UnixFacts } from "./selectors.js";
import { authorityOf, type TrustBundle, type WorkloadDirectory, type WorkloadEntry } from "./workload-entry.js";
import type { IssuedX509Svid, WorkloadIssuer } from "./workload-issuer.js";

export interface SvidParts {
  readonly issuer: WorkloadIssuer;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
}

/** An X.509-SVID with its key, which was made here and is in memory only. */
export interface X509Svid extends IssuedX509Svid {
  readonly entry: WorkloadEntry;
  readonly privateKey: KeyObject;
}

/**
 * One X.509-SVID for each entry, shared by all programs that it is for, with a new key at each renewal. It is renewed when
 * half of its life is over; when that fails, it is served until it expires.
 */
export class X509Svids {
  readonly #held = new Map<string, HeldSvid>();
  readonly #ordered = new Map<string, Promise<void>>();
  readonly #failed = new Map<string, Failure>();

  constructor(
    private readonly parts: SvidParts,
    /** Called when there are new ones. */
    private readonly onIssued: () => void,
  ) {}

  /**
   * SVIDs that are good now, in the order of `entries`; those that cannot be had are left out.
   * @param facts Of the program that asks.
   * @throws {MezError} why there is none at all
   */
  async of(entries: readonly WorkloadEntry[], facts: UnixFacts, bundle: TrustBundle): Promise<readonly X509Svid[]> {
    const due = entries.filter((entry) => this.#isDue(entry, bundle) && !this.#ordered.has(keyOf(entry)));
    if (due.length > 0) {
      const order = this.#order(due, facts).finally(() => {
        for (const entry of due) this.#ordered.delete(keyOf(entry));
      });
      for (const entry of due) this.#ordered.set(keyOf(entry), order);
    }
    await Promise.all(new Set(entries.map((entry) => this.#ordered.get(keyOf(entry)))));
    const good = entries.flatMap((entry) => this.#good(entry, bundle) ?? []);
    if (good.length > 0) return good;
    const [failure] = entries.flatMap((entry) => this.#failed.get(keyOf(entry))?.error ?? []);
    throw failure ?? new MezError("UNAVAILABLE", "the X.509-SVID was replaced meanwhile; ask again");
  }

  /** Milliseconds until one of these is to be looked at again. */
  dueInMs(entries: readonly WorkloadEntry[]): number {
    const now = this.parts.clock.now().getTime();
    const times = entries.map((entry) => {
      const failure = this.#failed.get(keyOf(entry));
      const held = this.#held.get(keyOf(entry));
      if (failure === undefined) return held?.renewAt ?? now;
      // When one of several expires, those that are left are to be sent without it.
      return Math.min(
        failure.retryAt,
        held === undefined || held.expiresAt.getTime() <= now ? Infinity : held.expiresAt.getTime(),
      );
    });
    return Math.max(0, Math.min(...times) - now);
  }

  /** Forgets what may not be handed out any more, `null` for everything, and tries again what failed. */
  keep(directory: WorkloadDirectory | null): void {
    const kept = new Set(directory?.entries.map(keyOf));
    for (const key of this.#held.keys()) if (!kept.has(key)) this.#held.delete(key);
    this.#failed.clear();
  }

  #isDue(entry: WorkloadEntry, bundle: TrustBundle): boolean {
    const now = this.parts.clock.now().getTime();
    const failure = this.#failed.get(keyOf(entry));
    if (failure !== undefined) return failure.retryAt <= now;
    const held = this.#held.get(keyOf(entry));
    if (held === undefined) return true;
    const authority = authorityOf(held.leaf, bundle);
    // Another key signs by now: renewed soon, but not by all machines at the same moment.
    if (authority > 0 && !held.isMoving) {
      held.isMoving = true;
      held.renewAt = Math.min(held.renewAt, now + this.parts.random() * MOVE_SPREAD_MS);
    }
    return authority < 0 || held.renewAt <= now;
  }

  #good(entry: WorkloadEntry, bundle: TrustBundle): HeldSvid | null {
    const held = this.#held.get(keyOf(entry));
    if (held === undefined || held.expiresAt <= this.parts.clock.now()) return null;
    return authorityOf(held.leaf, bundle) < 0 ? null : held;
  }

  async #order(entries: readonly WorkloadEntry[], facts: UnixFacts): Promise<void> {
    const pairs = await Promise.all(entries.map(() => generateKey("ec", KEY_OPTIONS)));
    const orders = entries.map((entry, index) => ({ entry, facts, publicKey: (pairs[index] as KeyPair).publicKey }));
    let results: readonly (IssuedX509Svid | MezError)[];
    try {
      results = await this.parts.issuer.issueX509(orders);
    } catch (error) {
      const failure = asFailure(error);
      results = entries.map(() => failure);
    }
    for (const [index, entry] of entries.entries()) {
      const result = results[index] as IssuedX509Svid | MezError;
      if (result instanceof MezError) this.#fail(entry, asFailure(result));
      else this.#hold(entry, result, pairs[index] as KeyPair);
    }
    if (results.some((result) => !(result instanceof MezError))) this.onIssued();
  }

  #hold(entry: WorkloadEntry, issued: IssuedX509Svid, { privateKey }: KeyPair): void {
    const leaf = new X509Certificate(issued.certificateChain);
    const now = this.parts.clock.now().getTime();
    // Not later than half of its life, and not all at the same moment.
    const renewAt = now + ((issued.expiresAt.getTime() - now) / 2) * (1 - this.parts.random() * RENEWAL_SPREAD);
    const key = createPrivateKey({ key: privateKey, format: "der", type: "pkcs8" });
    this.#held.set(keyOf(entry), { ...issued, entry, leaf, privateKey: key, renewAt, isMoving: false });
    this.#failed.delete(keyOf(entry));
  }

  #fail(entry: WorkloadEntry, error: MezError): void {
    const { clock, logger, random } = this.parts;
    const held = this.#held.get(keyOf(entry));
    if (!this.#failed.has(keyOf(entry)))
      logger.warn("could not get an X.509-SVID, trying again", {
        workload: entry.name,
        reason: error.detail ?? error.message,
        heldUntil: held?.expiresAt.toISOString() ?? null,
      });
    const backOff = this.#failed.get(keyOf(entry))?.backOff ?? new BackOff(FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS, random);
    const retryAt = clock.now().getTime() + backOff.nextSeconds() * 1000;
    if (error.kind === "denied") this.#held.delete(keyOf(entry));
    this.#failed.set(keyOf(entry), { error, retryAt, backOff });
  }
}

/** Of an entry as it is now. */
export function keyOf({ name, revision }: Pick<WorkloadEntry, "name" | "revision">): string {
  return `${name} ${revision}`;
}

/** What an order ended with, as a workload may see it. */
export function asFailure(error: unknown): MezError {
  const detail = messageOf(error);
  if (isMezError(error, "INVALID_ARGUMENT", "LIMIT_EXCEEDED")) return error;
  if (isMezError(error) && ["denied", "unauthenticated", "not-found"].includes(error.kind))
    return new MezError("ACCESS_DENIED", "the auth service issues no SVID for this workload", { detail, cause: error });
  return new MezError("UNAVAILABLE", "the auth service cannot issue an SVID now", { detail, cause: error });
}

// --- internal ---

interface HeldSvid extends X509Svid {
  readonly leaf: X509Certificate;
  renewAt: number;
  /** Whether it is renewed early, because another key signs by now. */
  isMoving: boolean;
}

interface Failure {
  readonly error: MezError;
  readonly retryAt: number;
  readonly backOff: BackOff;
}

interface KeyPair {
  readonly publicKey: Buffer;
  readonly privateKey: Buffer;
}

const generateKey = promisify(generateKeyPair);
const KEY_OPTIONS = {
  namedCurve: "P-256",
  publicKeyEncoding: { format: "der", type: "spki" },
  privateKeyEncoding: { format: "der", type: "pkcs8" },
} as const;
const RENEWAL_SPREAD = 0.1;
const MOVE_SPREAD_MS = 15_000;
const FIRST_RETRY_SECONDS = 1;
const MAX_RETRY_SECONDS = 60;
