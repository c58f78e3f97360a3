import type { EntityManager } from "@mikro-orm/core";
import { MezError } from "../../core/errors/error.js";
import type { AuditRecord } from "../../core/plugin/audit.js";
import type { ClusterSettings } from "../../core/plugin/cluster-settings.js";
import type { Collection } from "../../core/plugin/collection.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import type { Clock } from "../../core/time/clock.js";
import type { NodeEntry } from "../nodes/api.js";
import { MACHINE_PREFIX } from "../roles/api.js";
import { MAX_SESSIONS_PER_USER, type StartedSession } from "./api.js";
import {
  type LiveList,
  type LiveSessionRow,
  mayTakeOver,
  type RefusedSession,
  type Reporter,
  reporterName,
  type SessionEvent,
  servesSession,
} from "./live-session.js";
import { endRecord, execRecord, lostRecord, refusalRecord, startRecord } from "./session-audit.js";
import {
  countLiveSessions,
  findLiveSessions,
  findReporters,
  findSession,
  hasLiveSessions,
  saveProgress,
  saveReporters,
  saveSession,
} from "./session-repository.js";

export interface SessionLedgerParts {
  readonly database: Database;
  readonly clock: Clock;
  readonly nodes: Pick<Collection<NodeEntry>, "get">;
  readonly settings: Pick<ClusterSettings, "get">;
}

/** What a process hears back. */
export interface ReportAnswer {
  /** The process is not known: its list of live sessions is wanted. */
  readonly wantsLive: boolean;
  readonly refused: readonly RefusedSession[];
}

/**
 * Keeps the list of live sessions from what proxies and nodes report, and audits each event with it. Reports may come
 * twice, late, or not at all when a process dies; a session is audited once.
 */
export class SessionLedger {
  /** When each process was last heard of here, by reporter: milliseconds of the clock. */
  readonly #heard = new Map<string, { readonly processId: string; readonly at: number }>();
  /** What of it other auth servers do not know yet. */
  #untold = new Map<string, Date>();
  readonly #endListeners = new Map<string, Set<() => void>>();

  readonly #openedAt: Date;
  readonly #refusals = new Refusals();

  constructor(private readonly parts: SessionLedgerParts) {
    this.#openedAt = parts.clock.now();
  }

  /**
   * Takes a report. Sessions are counted one after the other as their starts arrive, from whichever process, so that of
   * two at once for one free place exactly one gets it.
   * @param asking Sessions that wait with their work: those alone may be refused.
   * @throws {MezError} `ACCESS_DENIED` for a session of another node.
   */
  async report(
    reporter: Reporter,
    processId: string,
    events: readonly SessionEvent[],
    live: LiveList | null,
    asking: ReadonlySet<string> = NOBODY,
  ): Promise<ReportAnswer> {
    const name = reporterName(reporter);
    const isKnown = live !== null || this.#heard.get(name)?.processId === processId;
    for (const { event } of events) if (event.kind === "started") checkNode(event.session, reporter);
    for (const session of live?.sessions ?? []) checkNode(session, reporter);
    const ended: string[] = [];
    const refused: RefusedSession[] = [];
    if (events.length > 0 || (live !== null && !(await this.#isAgreed(name, live)))) {
      await this.parts.database.transaction(async (tx) => {
        ended.length = 0;
        refused.length = 0;
        for (const event of events) {
          if (event.event.kind === "started" && asking.has(event.sessionId))
            refused.push(...(await this.#admit(tx, reporter, event.event.session, event.number)));
          else if (await this.#take(tx, reporter, event)) ended.push(event.sessionId);
        }
        if (live !== null) ended.push(...(await this.#reconcile(tx, reporter, live)));
      });
    }
    if (isKnown) {
      const now = this.parts.clock.now();
      this.#heard.set(name, { processId, at: now.getTime() });
      this.#untold.set(name, now);
    }
    for (const id of ended) for (const listener of this.#endListeners.get(id) ?? []) listener();
    for (const refusal of refused) this.#refusals.add(refusal);
    return { wantsLive: !isKnown, refused };
  }

  /** Oldest first. */
  list(): Promise<readonly LiveSessionRow[]> {
    return this.parts.database.read((em) => findLiveSessions(em));
  }

  /** Calls back when the end of a session is reported. Returns the way to stop. */
  onEnd(id: string, listener: () => void): () => void {
    const listeners = this.#endListeners.get(id) ?? new Set();
    this.#endListeners.set(id, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#endListeners.delete(id);
    };
  }

  /** Tells other auth servers which processes were heard of here. */
  async tell(): Promise<void> {
    while (this.#untold.size > 0) {
      const told = new Map([...this.#untold].slice(0, TOLD_AT_ONCE));
      for (const name of told.keys()) this.#untold.delete(name);
      try {
        await this.parts.database.transaction((tx) => saveReporters(tx.em, told));
      } catch (error) {
        this.#untold = new Map([...told, ...this.#untold]);
        throw error;
      }
    }
  }

  /**
   * Ends the sessions of processes that no auth server has heard of since `moment`; each gets that long after our own
   * start.
   */
  async endSilent(moment: Date, reason: string): Promise<number> {
    const find = async (em: EntityManager, rows: readonly LiveSessionRow[]): Promise<ReadonlyMap<string, Date>> =>
      findReporters(em, [...new Set(rows.map(({ reporter }) => reporter))]);
    const live = await this.list();
    let elsewhere = await this.parts.database.read((em) => find(em, live));
    const isSilent = ({ reporter }: LiveSessionRow): boolean =>
      Math.max(this.#heard.get(reporter)?.at ?? this.#openedAt.getTime(), elsewhere.get(reporter)?.getTime() ?? 0) <
      moment.getTime();
    if (!live.some(isSilent)) return 0;
    return this.parts.database.transaction(async (tx) => {
      const rows = await findLiveSessions(tx.em);
      elsewhere = await find(tx.em, rows);
      const silent = rows.filter(isSilent);
      for (const row of silent) await this.#lose(tx, row, reason);
      return silent.length;
    });
  }

  /** @returns Whether the session has ended by it. */
  async #take(tx: Transaction, reporter: Reporter, { sessionId, number, at, event }: SessionEvent): Promise<boolean> {
    const row = await findSession(tx.em, sessionId);
    if (event.kind === "started") {
      await this.#begin(tx, reporter, row, event.session, number);
      return false;
    }
    if (row === null || row.endedAt !== null || row.reporter !== reporterName(reporter) || number <= row.lastNumber) return false;
    if (event.kind === "exec") {
      this.#audit(tx, row, execRecord(row, reporter, at, event));
      await saveProgress(tx.em, sessionId, { lastNumber: number });
      return false;
    }
    // A session that only its proxy saw was not announced in the log: it might still have reached the node.
    if (!servesSession(reporter, row)) this.#audit(tx, row, startRecord(row, reporter));
    this.#audit(tx, row, endRecord(row, reporter, at, event));
    await saveProgress(tx.em, sessionId, { lastNumber: number, endedAt: at });
    return true;
  }

  /** Begins a session unless it is one too many. @returns The refusal, if any. */
  async #admit(tx: Transaction, reporter: Reporter, session: StartedSession, number: number): Promise<readonly RefusedSession[]> {
    const earlier = this.#refusals.get(session.id);
    if (earlier !== undefined) return [earlier];
    const known = await findSession(tx.em, session.id);
    const reason = known === null ? await this.#limitReached(tx, session) : null;
    if (reason === null) {
      await this.#begin(tx, reporter, known, session, number);
      return [];
    }
    this.#audit(tx, session, refusalRecord(session, reporter, reason));
    return [{ id: session.id, reason }];
  }

  async #limitReached(tx: Transaction, { user }: StartedSession): Promise<string | null> {
    const limit = this.parts.settings.get(MAX_SESSIONS_PER_USER);
    if (limit === 0 || user.startsWith(MACHINE_PREFIX)) return null;
    const held = await countLiveSessions(tx.em, user);
    return held < limit
      ? null
      : `${user} has ${held} ${held === 1 ? "session" : "sessions"}, and ${limit} at once ${limit === 1 ? "is" : "are"} allowed; end one first`;
  }

  async #begin(
    tx: Transaction,
    reporter: Reporter,
    known: LiveSessionRow | null,
    session: StartedSession,
    number: number,
  ): Promise<void> {
    if (known !== null && !mayTakeOver(known, reporter)) return;
    const row = { ...session, endedAt: null, reporter: reporterName(reporter), lastNumber: number };
    await saveSession(tx.em, row);
    if (servesSession(reporter, row)) this.#audit(tx, row, startRecord(row, reporter));
  }

  /** Whether a process has no session, and is said to have none: what nearly all of them report when they start. */
  async #isAgreed(name: string, live: LiveList): Promise<boolean> {
    if (live.sessions.length > 0) return false;
    return !(await this.parts.database.read((em) => hasLiveSessions(em, name)));
  }

  /** Makes the list what the process says it is. @returns Ids that are gone. */
  async #reconcile(tx: Transaction, reporter: Reporter, live: LiveList): Promise<readonly string[]> {
    for (const session of live.sessions) {
      const known = await findSession(tx.em, session.id);
      if (known === null) await this.#begin(tx, reporter, null, session, 1);
      // It was given up while the process could not be heard.
      else if (known.endedAt !== null && known.reporter === reporterName(reporter))
        await saveSession(tx.em, { ...known, endedAt: null });
    }
    const alive = new Set([...live.sessions.map(({ id }) => id), ...live.otherIds]);
    const lost = (await findLiveSessions(tx.em, reporterName(reporter))).filter(({ id }) => !alive.has(id));
    for (const row of lost) await this.#lose(tx, row, `the ${reporter.role} stopped without reporting the end`);
    return lost.map(({ id }) => id);
  }

  async #lose(tx: Transaction, row: LiveSessionRow, reason: string): Promise<void> {
    const at = this.parts.clock.now();
    this.#audit(tx, row, lostRecord(row, at, reason));
    await saveProgress(tx.em, row.id, { lastNumber: row.lastNumber, endedAt: at });
  }

  #audit(tx: Transaction, { node }: Pick<LiveSessionRow, "node">, record: AuditRecord): void {
    tx.audit({ ...record, resourceLabels: this.parts.nodes.get(node)?.labels ?? {} });
  }
}

// --- internal ---

const NOBODY: ReadonlySet<string> = new Set();
const MAX_REFUSALS = 10_000;
/** Nothing else is done meanwhile. */
const TOLD_AT_ONCE = 250;

/** The sessions that were refused last: a proxy and a node ask about the same one, and hear the same. */
class Refusals {
  readonly #byId = new Map<string, RefusedSession>();

  get(id: string): RefusedSession | undefined {
    return this.#byId.get(id);
  }

  add(refusal: RefusedSession): void {
    this.#byId.set(refusal.id, refusal);
    const oldest = this.#byId.keys().next();
    if (this.#byId.size > MAX_REFUSALS && !oldest.done) this.#byId.delete(oldest.value);
  }
}

function checkNode(session: StartedSession, reporter: Reporter): void {
  if (reporter.role === "proxy" || session.node === reporter.name) return;
  throw new MezError("ACCESS_DENIED", `node "${reporter.name}" may not report sessions of node "${session.node.slice(0, 64)}"`);
}
