import { setTimeout as delay } from "node:timers/promises";
import { isMezError, MezError } from "../../core/errors/error.js";
import type { AuditRecord } from "../../core/plugin/audit.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import { storedIds } from "./audit-repository.js";

/** An event of an agent, which named it. */
export type ReportedEvent = AuditRecord & { readonly id: string };

export interface IntakeLimits {
  /** From the begin of one transaction to that of the next, at least. The first report goes at once. */
  readonly everyMs?: number;
  /** Beyond which no further report is taken. */
  readonly maxWaitingEvents?: number;
  /** Nor is one taken while another has waited for so long. */
  readonly maxWaitMs?: number;
  /** How it rests; for so many milliseconds. */
  readonly pause?: (ms: number) => Promise<unknown>;
}

/**
 * Stores what agents report. Reports that come while others are stored wait for those, and then share a transaction: thousands
 * of agents with an event each cost a few transactions a second, between which people's calls have their turn: what a
 * transaction took passes again before the next.
 *
 * An agent keeps its events until it has an answer, so a report that would wait for too long is better off there. It is refused at
 * once, and told when to come again: then it brings what was gathered meanwhile in the same call. One whose caller has gone is let go of.
 */
export class ReportIntake {
  readonly #waiting: Report[] = [];
  #waitingEvents = 0;
  #isRunning = false;
  /** The transaction before. */
  #tookMs = 0;
  readonly #limits: Required<IntakeLimits>;

  constructor(
    private readonly database: Database,
    limits: IntakeLimits = {},
  ) {
    this.#limits = { everyMs: EVERY_MS, maxWaitingEvents: MAX_WAITING_EVENTS, maxWaitMs: MAX_WAIT_MS, pause: delay, ...limits };
  }

  /**
   * Resolves when the events are stored. One that was stored before is not stored again.
   * @param signal Aborted when nobody waits for the answer any more.
   * @throws {MezError} `LIMIT_EXCEEDED` with a field `retryAfterMs`; `CANCELLED`
   */
  store(events: readonly ReportedEvent[], signal?: AbortSignal): Promise<void> {
    if (events.length === 0) return Promise.resolve();
    const waitedMs = performance.now() - (this.#waiting[0]?.since ?? Number.POSITIVE_INFINITY);
    const { maxWaitingEvents, maxWaitMs } = this.#limits;
    if (waitedMs > maxWaitMs || (this.#waitingEvents > 0 && this.#waitingEvents + events.length > maxWaitingEvents))
      return Promise.reject(tooMany(waitedMs));
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#add({ events, resolve, reject, signal, since: performance.now() });
    if (!this.#isRunning) void this.#run();
    return promise;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#waiting.length > 0) {
      const began = performance.now();
      await this.#storeSome();
      this.#tookMs = performance.now() - began;
      await this.#limits.pause(Math.max(this.#limits.everyMs - this.#tookMs, Math.min(this.#tookMs, MAX_REST_MS)));
    }
    this.#isRunning = false;
  }

  async #storeSome(): Promise<void> {
    let taken: readonly Report[] = [];
    try {
      await this.database.transaction(async (tx) => {
        // Only now: what came while this transaction waited for its turn goes along.
        taken = this.#take();
        await record(tx, taken);
      });
      for (const report of taken) report.resolve();
    } catch (error) {
      const failed = taken.length > 0 ? taken : this.#takeFirst(this.#waiting.length);
      if (failed.length > 1 && !isMezError(error, "UNAVAILABLE")) return this.#storeEach(failed);
      for (const report of failed) report.reject(error);
    }
  }

  /** An event that the database does not take fails the report of one agent, and no other's. */
  async #storeEach(reports: readonly Report[]): Promise<void> {
    for (const report of reports) {
      const alone = this.database.transaction((tx) => record(tx, [report]));
      await alone.then(report.resolve, report.reject);
    }
  }

  /** Those whose turn it is, and who still wait. */
  #take(): readonly Report[] {
    for (const report of this.#takeFirst(this.#waiting.length)) {
      if (report.signal?.aborted === true) report.reject(new MezError("CANCELLED", "nobody waited for the report any more"));
      else this.#add(report);
    }
    const most = this.#tookMs > SLOW_MS ? MAX_EVENTS_WHEN_SLOW : MAX_EVENTS;
    let events = 0;
    const end = this.#waiting.findIndex((report) => {
      events += report.events.length;
      return events > most;
    });
    return this.#takeFirst(end < 0 ? this.#waiting.length : Math.max(1, end));
  }

  #add(report: Report): void {
    this.#waiting.push(report);
    this.#waitingEvents += report.events.length;
  }

  #takeFirst(count: number): readonly Report[] {
    const taken = this.#waiting.splice(0, count);
    for (const { events } of taken) this.#waitingEvents -= events.length;
    return taken;
  }
}

// --- internal ---

const EVERY_MS = 20;
/** Of one transaction, unless a single report has more: nobody else is served for about 10 ms then. */
const MAX_EVENTS = 250;
/** A transaction that takes so long waits for its commit, which has to carry more. */
const SLOW_MS = 50;
const MAX_EVENTS_WHEN_SLOW = 500;
/** At 2,000 a second, what comes in two seconds. */
const MAX_WAITING_EVENTS = 4_000;
/** Agents give a call 20 s and more. */
const MAX_WAIT_MS = 5_000;
const MAX_REST_MS = 50;
const RETRY_AFTER_MS = 2_000;

interface Report {
  readonly events: readonly ReportedEvent[];
  readonly signal: AbortSignal | undefined;
  /** On the monotonic clock, in milliseconds. */
  readonly since: number;
  resolve(): void;
  reject(error: unknown): void;
}

function tooMany(waitedMs: number): MezError {
  return new MezError(
    "LIMIT_EXCEEDED",
    "more is reported than can be stored at the moment; keep the events, and send them later",
    {
      fields: { retryAfterMs: RETRY_AFTER_MS + Math.round(Math.max(0, waitedMs)) },
    },
  );
}

async function record(tx: Transaction, reports: readonly Report[]): Promise<void> {
  const byId = new Map<string, ReportedEvent>();
  for (const { events } of reports) for (const event of events) if (!byId.has(event.id)) byId.set(event.id, event);
  const stored = await storedIds(tx.em, [...byId.keys()]);
  for (const [id, event] of byId) if (!stored.has(id)) tx.audit(event);
}
