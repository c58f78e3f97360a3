import { setTimeout as sleep } from "node:timers/promises";
import { isMezError, MezError, messageOf } from "../../core/errors/error.js";
import type { Logger } from "../../core/plugin/logger.js";
import { BackOff } from "../../core/time/back-off.js";
import type { Clock } from "../../core/time/clock.js";
import { formatDuration } from "../../core/time/duration.js";
import type { CertificateSet } from "./certificate-set.js";
import type { HealthState } from "./health.js";
import { type IdentityInstance, isDead, isFinal, MAX_SETTLE_MS, type ObtainedSet } from "./instance.js";

export interface RenewalLoopParts {
  readonly instance: Pick<IdentityInstance, "current" | "bootstrap" | "renew" | "replaced" | "settle">;
  readonly intervalSeconds: number;
  readonly health: HealthState;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  /** Called with each new set. */
  readonly onRenewal: () => void;
}

/** Gets certificates and renews them until it is stopped, or until nothing can be renewed any more. */
export class RenewalLoop {
  readonly #backOff: BackOff;
  #wake = new AbortController();
  #notice = "";
  /** On the clock of `performance`; `null` while nothing is renewed that programs may have half read. */
  #settlesUntil: number | null = null;

  constructor(private readonly parts: RenewalLoopParts) {
    this.#backOff = new BackOff(
      FIRST_RETRY_SECONDS,
      Math.max(FIRST_RETRY_SECONDS, Math.min(60, parts.intervalSeconds)),
      parts.random,
    );
  }

  /** Renews as soon as what is under way is done, and says so when that is the time that programs have for the set of before. */
  renewNow(): void {
    if (this.#settlesUntil !== null && !this.#wake.signal.aborted)
      this.parts.logger.info("will renew when programs have had the time to read the certificates that are new", {
        inSeconds: Math.max(1, Math.ceil((this.#settlesUntil - performance.now()) / 1000)),
      });
    this.#wake.abort();
  }

  /**
   * Bootstraps where nothing is stored, else renews at once when that is due.
   * @param patienceMs How long an auth service out of reach is waited for; `Infinity` for ever.
   * @throws {MezError} what cannot be helped by trying again, and the last failure when patience is over
   */
  async begin(isRestored: boolean, isDue: boolean, patienceMs: number, signal: AbortSignal): Promise<void> {
    const { instance, clock } = this.parts;
    if (isRestored && !isDue) return;
    const until = clock.now().getTime() + patienceMs;
    for (;;) {
      try {
        this.#take(await (isRestored ? instance.renew(signal) : instance.bootstrap(signal)));
        return;
      } catch (error) {
        if (signal.aborted) return;
        const mayHelp = patienceMs === Number.POSITIVE_INFINITY ? !isFinal(error) : isMezError(error, "UNAVAILABLE", "TIMEOUT");
        this.#failed(error, mayHelp && clock.now().getTime() < until);
      }
      await pause(this.#backOff.nextSeconds() * 1000, AbortSignal.any([signal, this.#wake.signal]));
      if (signal.aborted) return;
    }
  }

  /** Runs until `signal`. @throws {MezError} when the certificates are dead or the cluster wants them no more */
  async run(signal: AbortSignal): Promise<void> {
    const { instance } = this.parts;
    while (!signal.aborted && instance.current !== null) {
      await this.#settle(signal);
      await this.#waitUntilDue(instance.current, signal);
      if (signal.aborted) return;
      this.#wake = new AbortController();
      await this.#renew(signal);
    }
  }

  async #renew(signal: AbortSignal): Promise<void> {
    const { instance } = this.parts;
    for (;;) {
      try {
        this.#take(await instance.renew(signal));
        return;
      } catch (error) {
        if (signal.aborted) return;
        this.#failed(error, !isFinal(error));
      }
      await pause(this.#backOff.nextSeconds() * 1000, AbortSignal.any([signal, this.#wake.signal]));
      if (signal.aborted) return;
      this.#wake = new AbortController();
    }
  }

  /** @throws {MezError} `UNAUTHENTICATED` when there is nothing left to renew with */
  #requireLife(cause: unknown): void {
    const { instance, clock } = this.parts;
    if (instance.current === null || !isDead(instance.current, clock.now())) return;
    throw new MezError(
      "UNAUTHENTICATED",
      `the certificates expired at ${instance.current.expiresAt.toISOString()} and could not be renewed (${messageOf(cause)}); bootstrap again with a new token`,
      { cause },
    );
  }

  /**
   * Leaves the programs that have read one file of the old set the time to finish with it, then lets the old set be refused.
   * `renewNow` does not cut this short: a set that follows at once would take the old one from them. A set that is replaced meanwhile,
   * because other authorities are to be trusted, stays until the next time.
   */
  async #settle(signal: AbortSignal): Promise<void> {
    const { instance, intervalSeconds, logger, random } = this.parts;
    const settleMs = Math.min(MAX_SETTLE_MS, intervalSeconds * 250) * (0.5 + random() / 2);
    this.#settlesUntil = performance.now() + settleMs;
    const replaced = await instance.replaced().catch(() => []);
    await pause(settleMs, signal);
    this.#settlesUntil = null;
    if (signal.aborted) return;
    try {
      await instance.settle(replaced, signal);
    } catch (error) {
      // The next renewal says the same.
      if (!signal.aborted)
        logger.warn("could not tell the auth service that the new certificates are in use", { reason: messageOf(error) });
    }
  }

  async #waitUntilDue(set: CertificateSet, signal: AbortSignal): Promise<void> {
    const interrupted = AbortSignal.any([signal, this.#wake.signal]);
    for (;;) {
      const milliseconds = this.#untilDueMs(set);
      if (interrupted.aborted || milliseconds <= 0) return;
      await pause(milliseconds, interrupted);
    }
  }

  #take({ set, notice }: ObtainedSet): void {
    const { health, logger, intervalSeconds } = this.parts;
    this.#backOff.reset();
    health.succeeded(set);
    this.parts.onRenewal();
    logger.info(set.generation === 1 ? "bootstrapped" : "renewed", {
      identity: set.identity,
      instance: set.instanceId,
      generation: set.generation,
      serial: set.sshSerial,
      expiresAt: set.expiresAt.toISOString(),
    });
    if (notice === this.#notice) return;
    this.#notice = notice;
    const every = Math.round(dueAfterMs(set, intervalSeconds) / 1000);
    if (notice !== "") logger.warn(`the life of the certificates was ${notice}; they are renewed every ${formatDuration(every)}`);
  }

  /** Returns when it is tried again. What is thrown is for the caller to say, once. */
  #failed(error: unknown, mayHelp: boolean): void {
    const { health, logger, instance, clock } = this.parts;
    health.failed(messageOf(error));
    if (!mayHelp) throw error;
    this.#requireLife(error);
    const left = instance.current === null ? null : (instance.current.expiresAt.getTime() - clock.now().getTime()) / 1000;
    const fields = { reason: messageOf(error), ...(left === null ? {} : { certificatesLive: formatDuration(left) }) };
    logger.warn("could not get certificates, trying again", fields);
  }

  #untilDueMs(set: CertificateSet): number {
    const { intervalSeconds, clock } = this.parts;
    return set.issuedAt.getTime() + dueAfterMs(set, intervalSeconds) - clock.now().getTime();
  }
}

/** Milliseconds from the issue of a set to its renewal: the interval, but never more than two thirds of its life. */
export function dueAfterMs(
  { issuedAt, expiresAt }: Pick<CertificateSet, "issuedAt" | "expiresAt">,
  intervalSeconds: number,
): number {
  const life = Math.max(0, expiresAt.getTime() - issuedAt.getTime());
  return Math.min(intervalSeconds * 1000, (life * 2) / 3);
}

// --- internal ---

const FIRST_RETRY_SECONDS = 1;
const MAX_TIMER_MS = 2_147_483_647; // setTimeout, 2^31 - 1

/** Ends early, and without an error, when `signal` says so. */
async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(Math.min(milliseconds, MAX_TIMER_MS), undefined, { signal }).catch(() => {});
}
