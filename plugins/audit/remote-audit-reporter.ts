import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isMezError, messageOf } from "../../core/errors/error.js";
import type { Lifecycle } from "../../core/plugin/contract.js";
import { JournaledQueue } from "../../core/plugin/journaled-queue.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { Clock } from "../../core/time/clock.js";
import { uuidV7 } from "../../core/time/uuid-v7.js";
import type { AuditEvent as WireEvent } from "../../proto/gen/mezite/audit/v1/audit.js";
import type { AuditReporter, ReportedRecord } from "./api.js";
import { metadataText, text } from "./audit-row.js";
import { MAX_EVENTS_PER_REPORT } from "./reported-events.js";

type AgentRole = "proxy" | "node";

export interface ReporterOptions {
  readonly dataDirectory: string;
  readonly roles: readonly AgentRole[];
  readonly maxQueueBytes: number;
  /** Gives events to the auth service under the certificate of a role; resolves when they are stored. */
  readonly send: (role: AgentRole, events: WireEvent[], signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Wait after a failure, in milliseconds; doubled with each further one, up to 30 times. Default 1000. */
  readonly retryMs?: number;
}

/** Keeps events in a file and sends them to the auth service, oldest first, again and again until it has them. */
export class RemoteAuditReporter implements AuditReporter, Lifecycle {
  readonly #options: ReporterOptions;
  readonly #queues: ReadonlyMap<AgentRole, EventQueue>;
  readonly #sending = new Map<AgentRole, Promise<void>>();
  readonly #stop = new AbortController();

  constructor(options: ReporterOptions) {
    this.#options = options;
    const path = (role: AgentRole) => join(options.dataDirectory, "audit-queue", `${role}.jsonl`);
    const queueOf = (role: AgentRole): EventQueue =>
      new JournaledQueue({ path: path(role), maxBytes: options.maxQueueBytes, parse: parseEvent });
    this.#queues = new Map(options.roles.map((role) => [role, queueOf(role)]));
  }

  async start(): Promise<void> {
    for (const [role, queue] of this.#queues) {
      queue.open();
      if (queue.size > 0) this.#wake(role, queue);
    }
  }

  report(role: AgentRole, record: ReportedRecord): void {
    const queue = this.#queues.get(role);
    const occurredAt = record.occurredAt ?? this.#options.clock.now();
    const event = { ...record, id: uuidV7(occurredAt), occurredAt };
    try {
      if (queue?.add(JSON.parse(JSON.stringify(event)) as QueuedEvent)) return this.#wake(role, queue);
      this.#options.logger.error("the queue of audit events is full; this event is only here", { event });
    } catch (error) {
      this.#options.logger.error("an audit event could not be queued; it is only here", { event, error: messageOf(error) });
    }
  }

  /** Gives what is queued a last chance; the rest is sent after the next start. */
  async drain(): Promise<void> {
    await Promise.race([
      Promise.all(this.#sending.values()),
      delay(DRAIN_MS, undefined, { signal: this.#stop.signal, ref: false }).catch(() => undefined),
    ]);
  }

  async dispose(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#sending.values());
  }

  #wake(role: AgentRole, queue: EventQueue): void {
    if (this.#sending.has(role) || this.#stop.signal.aborted) return;
    const sending = this.#sendAll(role, queue).finally(() => this.#sending.delete(role));
    this.#sending.set(role, sending);
  }

  async #sendAll(role: AgentRole, queue: EventQueue): Promise<void> {
    const { send, logger, retryMs = 1000 } = this.#options;
    const { signal } = this.#stop;
    // One that is refused must not take others with it: when a report was, its events go one at a time.
    let suspects = 0;
    for (let failures = 0, told: number | null = null; queue.size > 0 && !signal.aborted; ) {
      const retry = told ?? Math.min(retryMs * 2 ** (failures - 1), retryMs * 30);
      // A short wait lets the events of one moment share a call; after a failure, not everybody is to come back at once.
      await pause(failures === 0 ? GATHER_MS : retry * (0.75 + 0.5 * Math.random()), signal);
      if (signal.aborted) return;
      const events = suspects > 0 ? queue.first(1) : oneReport(queue);
      try {
        await send(role, events.map(toWire), signal);
        queue.remove(events.length);
        suspects = Math.max(0, suspects - 1);
        failures = 0;
      } catch (error) {
        if (isMezError(error, "INVALID_ARGUMENT")) {
          if (events.length > 1) {
            suspects = events.length;
            continue;
          }
          // Sent again it would be refused again, and everything behind it would wait for ever.
          logger.error("the auth service refused an audit event; it is only here", { events, error: messageOf(error) });
          queue.remove(1);
          suspects = Math.max(0, suspects - 1);
          continue;
        }
        failures += 1;
        told = retryAfterMs(error);
        if (failures === 1 && !signal.aborted)
          logger.warn("audit events wait for the auth service", { role, waiting: queue.size, error: messageOf(error) });
      }
    }
  }
}

// --- internal ---

/** An event as the queue keeps it. Survives JSON. */
interface QueuedEvent {
  readonly id: string;
  readonly [field: string]: unknown;
}

type EventQueue = JournaledQueue<QueuedEvent>;

const GATHER_MS = 20;
const MAX_REPORT_BYTES = 1024 * 1024; // the auth service takes four times as much
const DRAIN_MS = 5000;
const MAX_TOLD_RETRY_MS = 30_000;

/** When the auth service wants to be asked again; `null` when it did not say. */
function retryAfterMs(error: unknown): number | null {
  const told = isMezError(error, "LIMIT_EXCEEDED") ? error.fields["retryAfterMs"] : undefined;
  return typeof told === "number" ? Math.min(told, MAX_TOLD_RETRY_MS) : null;
}

/** The oldest events, as many as go into one call; at least one. */
function oneReport(queue: EventQueue): readonly QueuedEvent[] {
  let bytes = 0;
  const events = queue.first(MAX_EVENTS_PER_REPORT);
  const tooMany = events.findIndex((event, index) => {
    bytes += Buffer.byteLength(JSON.stringify(event));
    return index > 0 && bytes > MAX_REPORT_BYTES;
  });
  return tooMany < 0 ? events : events.slice(0, tooMany);
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}

function toWire(event: QueuedEvent): WireEvent {
  const record = event as QueuedEvent & Omit<ReportedRecord, "occurredAt"> & { readonly occurredAt: string };
  return {
    id: record.id,
    eventType: record.type,
    eventCode: "",
    timestamp: new Date(record.occurredAt),
    clusterName: "",
    userName: text(record.userName),
    userRoles: (record.userRoles ?? []).map(text),
    impersonator: "",
    resourceType: text(record.resourceType),
    resourceName: text(record.resourceName),
    resourceLabels: { ...record.resourceLabels },
    serverId: "",
    serverHostname: "",
    clientIp: text(record.clientIp),
    sessionId: text(record.sessionId),
    success: record.success ?? true,
    errorMessage: text(record.errorMessage),
    metadataJson: metadataText(record.metadata),
  };
}

function parseEvent(value: unknown): QueuedEvent | null {
  return typeof value === "object" && value !== null && "id" in value && typeof value.id === "string"
    ? (value as QueuedEvent)
    : null;
}
