import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isMezError, MezError, messageOf } from "../../core/errors/error.js";
import type { ClusterSettings } from "../../core/plugin/cluster-settings.js";
import type { Lifecycle } from "../../core/plugin/contract.js";
import type { LiveSessions } from "../../core/plugin/live-sessions.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { Lease } from "../../core/plugin/process.js";
import type { Clock } from "../../core/time/clock.js";
import { Admissions } from "./admissions.js";
import {
  type ExecutedCommand,
  MAX_SESSIONS_PER_USER,
  type SessionOutcome,
  type SessionReporter,
  type StartedSession,
} from "./api.js";
import type { LiveList, RefusedSession, SessionEvent } from "./live-session.js";
import { ReportQueue } from "./report-queue.js";

type AgentRole = "proxy" | "node";

export interface SentReport {
  readonly events: readonly SessionEvent[];
  readonly live: LiveList | null;
  /** Sessions that wait with their work for the answer. */
  readonly asking: readonly string[];
}

export interface ReporterOptions {
  readonly dataDirectory: string;
  /** Names this run of the process, over all generations of the plugin. */
  readonly processId: string;
  /** The roles of this process; the last one speaks for sessions that name none. */
  readonly roles: readonly AgentRole[];
  /**
   * Reports under the certificate of a role; resolves when the auth service has stored it.
   * @returns Whether it wants the list of live sessions with the next report, and which sessions may not be.
   */
  readonly send: (
    role: AgentRole,
    report: SentReport,
    signal: AbortSignal,
  ) => Promise<{ readonly wantsLive: boolean; readonly refused: readonly RefusedSession[] }>;
  readonly liveSessions: Pick<LiveSessions, "all" | "get">;
  readonly settings: Pick<ClusterSettings, "get">;
  readonly takeLease: () => Lease;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Sign of life while a session is under way and there is nothing to report. Default 15000. */
  readonly heartbeatMs?: number;
  /** The same while none is, when nothing would be given up for lost. Default 240000. */
  readonly idleHeartbeatMs?: number;
  /** First wait after a failure; doubled up to 16 times, and up to a half more or less. Default 1000. */
  readonly retryMs?: number;
}

/**
 * Reports sessions, one report at a time for each role, again and again until the auth service has it. While it cannot be
 * reached, what it has to hear is in a file of the data directory.
 */
export class RemoteSessionReporter implements SessionReporter, Lifecycle {
  readonly #channels: ReadonlyMap<AgentRole, RoleReports>;
  readonly #main: RoleReports;

  constructor(private readonly options: ReporterOptions) {
    this.#channels = new Map(options.roles.map((role) => [role, new RoleReports(role, options)]));
    this.#main = this.#channels.get(options.roles.at(-1) as AgentRole) as RoleReports;
  }

  async start(): Promise<void> {
    for (const reports of this.#channels.values()) reports.start();
  }

  async drain(): Promise<void> {
    for (const reports of this.#channels.values()) reports.drain();
  }

  async dispose(): Promise<void> {
    await Promise.all([...this.#channels.values()].map((reports) => reports.stop()));
  }

  started({ by, ...session }: StartedSession): void {
    const reports = by === undefined ? this.#main : (this.#channels.get(by) ?? this.#main);
    reports.add(session.id, { kind: "started", session });
  }

  async admitted(id: string): Promise<void> {
    if (this.options.settings.get(MAX_SESSIONS_PER_USER) === 0) return;
    const reason = await this.#of(id)?.admission(id);
    if (typeof reason === "string") throw new MezError("LIMIT_EXCEEDED", reason);
  }

  exec(id: string, command: ExecutedCommand): void {
    this.#of(id)?.add(id, { kind: "exec", ...command });
  }

  ended(id: string, outcome: SessionOutcome): void {
    this.#of(id)?.add(id, { kind: "ended", ...outcome });
  }

  #of(id: string): RoleReports | undefined {
    return [...this.#channels.values()].find((reports) => reports.queue.knows(id));
  }
}

// --- internal ---

const MAX_WAITING = 20_000;
const EVENTS_A_REPORT = 200;
// A short wait lets the events of one moment share a report.
const GATHER_MS = 5;
const LOUD_AFTER_FAILURES = 3;

/** The reports of one role. Holds a lease while something waits, so that a stop lets the last reports out. */
class RoleReports {
  readonly queue: ReportQueue;
  readonly #stop = new AbortController();
  #wake = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #lease: Lease | null = null;
  #draining = false;
  /** Whether the auth service lacks the list; of a process that has just begun it always does. */
  #wantsLive = true;
  #failures = 0;
  readonly #admissions = new Admissions();

  constructor(
    private readonly role: AgentRole,
    private readonly options: ReporterOptions,
  ) {
    const { dataDirectory, processId } = options;
    this.queue = new ReportQueue({ folder: join(dataDirectory, "session-queue"), role, processId }, MAX_WAITING);
  }

  start(): void {
    this.queue.open();
    this.#running = this.#run();
  }

  /** From now on nobody waits for an auth service that cannot be reached. */
  drain(): void {
    this.#draining = true;
    if (this.#failures > 0) this.#returnLease();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake.abort();
    await this.#running;
    this.queue.close();
    this.#returnLease();
  }

  add(id: string, event: SessionEvent["event"]): void {
    if (!this.queue.add(id, this.options.clock.now(), event)) {
      this.options.logger.error("too many reports of sessions wait for the auth service; this one is only here", { id, event });
    }
    if (this.queue.size > 0 && !(this.#draining && this.#failures > 0)) this.#lease ??= this.options.takeLease();
    if (this.#failures === 0) this.#wake.abort();
    else this.#save();
  }

  /** Why the session may not be, `null` when it may, or when nobody can say. */
  async admission(id: string): Promise<string | null> {
    return this.#failures > 0 ? null : this.#admissions.wait(id);
  }

  #save(): void {
    try {
      this.queue.save();
    } catch (error) {
      this.options.logger.error("reports of sessions cannot be kept in a file; they wait in memory", { error: messageOf(error) });
    }
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.#wake = new AbortController();
      await this.#report();
      const waitMs = this.#waitMs();
      if (waitMs > 0) await delay(waitMs, undefined, { signal: this.#wake.signal }).catch(() => "woken");
      if (this.#wake.signal.aborted && !this.#stop.signal.aborted) await delay(GATHER_MS);
    }
  }

  /** At random moments: when the auth service was away, every process of the cluster waits. */
  #waitMs(): number {
    const { heartbeatMs = 15_000, idleHeartbeatMs = 240_000, retryMs = 1000, liveSessions } = this.options;
    if (this.#failures > 0) return retryMs * Math.min(2 ** (this.#failures - 1), 16) * (0.5 + Math.random());
    if (this.queue.size > 0 || this.#wantsLive) return 0;
    return (liveSessions.all().length > 0 ? heartbeatMs : idleHeartbeatMs) * (0.9 + 0.1 * Math.random());
  }

  async #report(): Promise<void> {
    const { send, liveSessions, logger } = this.options;
    const events = this.queue.first(EVENTS_A_REPORT);
    // With an end still waiting behind, the list would call that session lost.
    const live = this.#wantsLive && events.length === this.queue.size ? this.queue.live(idsOf(liveSessions)) : null;
    try {
      const { wantsLive, refused } = await send(this.role, { events, live, asking: this.#admissions.waiting }, this.#stop.signal);
      this.#wantsLive = wantsLive || (this.#wantsLive && live === null);
      this.#taken(events.length);
      for (const { id, reason } of refused) for (const session of liveSessions.get(id)) session.end(reason);
      this.#admissions.answer(startsOf(events), refused);
    } catch (error) {
      if (isMezError(error, "INVALID_ARGUMENT", "ACCESS_DENIED") && events.length > 0) {
        // Sent again it would be refused again, and everything behind it would wait for ever.
        logger.error("the auth service refused reports of sessions; they are only here", { events, error: messageOf(error) });
        this.#admissions.giveUp();
        return this.#taken(events.length);
      }
      this.#failures += 1;
      this.#admissions.giveUp();
      this.#save();
      if (this.#draining) this.#returnLease();
      if (this.#failures === LOUD_AFTER_FAILURES && !this.#stop.signal.aborted) {
        logger.warn("reports of sessions wait for the auth service", {
          role: this.role,
          waiting: this.queue.size,
          error: messageOf(error),
        });
      }
    }
  }

  #taken(count: number): void {
    this.#failures = 0;
    this.queue.remove(count);
    if (this.queue.size === 0) this.#returnLease();
  }

  #returnLease(): void {
    this.#lease?.return();
    this.#lease = null;
  }
}

function idsOf(liveSessions: Pick<LiveSessions, "all">): readonly string[] {
  return [...new Set(liveSessions.all().map(({ id }) => id))];
}

function startsOf(events: readonly SessionEvent[]): readonly string[] {
  return events.filter(({ event }) => event.kind === "started").map(({ sessionId }) => sessionId);
}
