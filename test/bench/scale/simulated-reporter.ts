import { setTimeout as sleep } from "node:timers/promises";
import { type AuditEvent, AuditServiceService } from "../../../proto/gen/mezite/audit/v1/audit.js";

/** Tells the auth service of events as `RemoteAuditReporter` does: one report at a time, again until it is stored, the oldest first. */
export class SimulatedReporter {
  readonly #queue: AuditEvent[] = [];
  #isSending = false;
  #isStopped = false;
  stored = 0;
  again = 0;

  /** @param call Makes a call. */
  constructor(private readonly call: (path: string, request: Buffer) => Promise<Buffer>) {}

  get waiting(): number {
    return this.#queue.length;
  }

  add(events: readonly AuditEvent[]): void {
    this.#queue.push(...events);
    if (!this.#isSending) void this.#send();
  }

  /** What waits is not sent any more. */
  stop(): void {
    this.#isStopped = true;
  }

  async #send(): Promise<void> {
    this.#isSending = true;
    for (let failures = 0; this.#queue.length > 0 && !this.#isStopped; ) {
      const retryMs = FIRST_RETRY_MS * Math.min(2 ** (failures - 1), 30) * (0.75 + 0.5 * Math.random());
      await sleep(failures === 0 ? GATHER_MS : retryMs, undefined, { ref: false });
      const events = this.#queue.slice(0, MAX_EVENTS);
      const { path, requestSerialize } = AuditServiceService.reportEvents;
      try {
        await this.call(path, requestSerialize({ events }));
        this.#queue.splice(0, events.length);
        this.stored += events.length;
        failures = 0;
      } catch {
        failures += 1;
        this.again += 1;
      }
    }
    this.#isSending = false;
  }
}

// --- internal ---

// The figures of `plugins/audit/remote-audit-reporter.ts`.
const GATHER_MS = 20;
const FIRST_RETRY_MS = 1_000;
const MAX_EVENTS = 500;
