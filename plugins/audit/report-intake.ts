import { setTimeout as delay } from "node:timers/promises";
import { isMezError } from "../../core/errors/error.js";
import type { AuditRecord } from "../../core/plugin/audit.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import { storedIds } from "./audit-repository.js";

/** An event of an agent, which named it. */
export type ReportedEvent = AuditRecord & { readonly id: string };

/**
 * Stores what agents report. Reports that come while others are stored wait for those, and then share a transaction: thousands
 * of agents with an event each cost a few transactions a second, between which people's calls have their turn.
 */
export class ReportIntake {
  readonly #waiting: Report[] = [];
  #isRunning = false;

  /** @param everyMs From the begin of one transaction to that of the next, at least. The first report goes at once. */
  constructor(
    private readonly database: Database,
    private readonly everyMs = EVERY_MS,
  ) {}

  /** Resolves when the events are stored. One that was stored before is not stored again. */
  store(events: readonly ReportedEvent[]): Promise<void> {
    if (events.length === 0) return Promise.resolve();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ events, resolve, reject });
    if (!this.#isRunning) void this.#run();
    return promise;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#waiting.length > 0) {
      await Promise.all([this.#storeSome(), delay(this.everyMs)]);
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
      const failed = taken.length > 0 ? taken : this.#waiting.splice(0);
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

  #take(): readonly Report[] {
    let events = 0;
    const end = this.#waiting.findIndex((report) => {
      events += report.events.length;
      return events > MAX_EVENTS;
    });
    return this.#waiting.splice(0, end < 0 ? this.#waiting.length : Math.max(1, end));
  }
}

// --- internal ---

const EVERY_MS = 20;
/** Of one transaction, unless a single report has more. Few have so many: only where the disk is slow, and each commit has to carry more. */
const MAX_EVENTS = 500;

interface Report {
  readonly events: readonly ReportedEvent[];
  resolve(): void;
  reject(error: unknown): void;
}

async function record(tx: Transaction, reports: readonly Report[]): Promise<void> {
  const byId = new Map<string, ReportedEvent>();
  for (const { events } of reports) for (const event of events) if (!byId.has(event.id)) byId.set(event.id, event);
  const stored = await storedIds(tx.em, [...byId.keys()]);
  for (const [id, event] of byId) if (!stored.has(id)) tx.audit(event);
}
