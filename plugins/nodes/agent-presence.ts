import { setTimeout as sleep } from "node:timers/promises";
import { isMezError, messageOf } from "../../core/errors/error.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { AgentLink } from "./agent-link.js";
import type { AgentFacts } from "./agent-service.js";

const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 20_000;
const MAX_UNINFORMED_MS = 2_000;
const LOOK_EVERY_MS = 20_000;

/** Keeps an agent registered: once at the start, again after each failure, with heartbeats between. */
export class AgentPresence {
  #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #hurry = new AbortController();
  #renewalSpreadMs: number | null = null;

  /**
   * @param rejoin Called when the cluster does not know the agent any more; `false` when nothing can be done.
   * @param informed Resolves when this process has a whole copy of what it is to report on; waited for, but not for long.
   * @param isCutOff Whether the auth service has been silent for longer than it is when all is well: then the next heartbeat does not wait.
   * @param lookEveryMs How often that is asked.
   */
  constructor(
    private readonly link: AgentLink,
    private readonly logger: Logger,
    private readonly rejoin: () => Promise<boolean>,
    private readonly informed: () => Promise<void> = async () => {},
    private readonly isCutOff: () => boolean = () => false,
    private readonly lookEveryMs = LOOK_EVERY_MS,
  ) {}

  /** Begins, or begins again with other facts. */
  async start(facts: AgentFacts): Promise<void> {
    await this.#halt();
    this.#stop = new AbortController();
    this.#running = this.#run(facts, this.#stop.signal);
  }

  /** Within which to renew when every agent has to; `null` before the first registration. */
  get renewalSpreadMs(): number | null {
    return this.#renewalSpreadMs;
  }

  /** Sends the next heartbeat now: there is something new in it. */
  hurry(): void {
    this.#hurry.abort();
  }

  /** Ends the heartbeats and says goodbye. */
  async leave(): Promise<void> {
    await this.#halt();
    await this.link
      .deregister()
      .catch((error: unknown) => this.logger.debug("could not say goodbye", { reason: messageOf(error) }));
  }

  async #halt(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(facts: AgentFacts, signal: AbortSignal): Promise<void> {
    let retryMs = FIRST_RETRY_MS;
    await this.#becomeInformed(signal);
    while (!signal.aborted) {
      try {
        this.#hurry = new AbortController();
        const { heartbeatSeconds, renewalSpreadMs } = await this.link.register(facts);
        const intervalMs = Math.max(1, heartbeatSeconds) * 1000;
        this.#renewalSpreadMs = renewalSpreadMs;
        retryMs = FIRST_RETRY_MS;
        this.logger.info("registered with the cluster");
        for (;;) {
          await this.#rest(intervalMs * (0.9 + 0.1 * Math.random()), AbortSignal.any([signal, this.#hurry.signal]));
          if (signal.aborted) return;
          this.#hurry = new AbortController();
          await this.link.heartbeat();
        }
      } catch (error) {
        if (signal.aborted) return;
        if (isMezError(error, "UNAUTHENTICATED") && (await this.#rejoined())) continue;
        this.logger.warn("the auth service does not take our heartbeat, trying again", {
          reason: messageOf(error),
          seconds: Math.round(retryMs / 1000),
        });
      }
      await pause(retryMs * (0.5 + Math.random()), signal);
      retryMs = Math.min(retryMs * 2, MAX_RETRY_MS);
    }
  }

  /** Until the next heartbeat is due. */
  async #rest(milliseconds: number, signal: AbortSignal): Promise<void> {
    let left = milliseconds;
    do {
      await pause(Math.min(left, this.lookEveryMs), signal);
      left -= this.lookEveryMs;
    } while (left > 0 && !signal.aborted && !this.isCutOff());
  }

  /** Otherwise the registration would be followed by a heartbeat that tells the rest, from every agent when all connect. */
  async #becomeInformed(signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    await Promise.race([this.informed(), pause(MAX_UNINFORMED_MS, AbortSignal.any([signal, over.signal]))]);
    over.abort();
  }

  async #rejoined(): Promise<boolean> {
    try {
      return await this.rejoin();
    } catch (error) {
      this.logger.error("could not join again", { reason: messageOf(error) });
      return false;
    }
  }
}

// --- internal ---

/** Until its time, or until the signal. */
async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch(() => {});
}
