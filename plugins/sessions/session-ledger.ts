import { MezError } from "../../core/errors/error.js";
import type { AuditRecord } from "../../core/plugin/audit.js";
import type { Collection } from "../../core/plugin/collection.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import type { Clock } from "../../core/time/clock.js";
import type { NodeEntry } from "../nodes/api.js";
import type { StartedSession } from "./api.js";
import {
  type LiveList,
  type LiveSessionRow,
  mayTakeOver,
  type Reporter,
  reporterName,
  type SessionEvent,
} from "./live-session.js";
import { endRecord, execRecord, lostRecord, startRecord } from "./session-audit.js";
import { findLiveSessions, findSession, saveProgress, saveSession } from "./session-repository.js";

/**
 * Keeps the list of live sessions from what proxies and nodes report, and audits each event with it. Reports may come
 * twice, late, or not at all when a process dies; a session is audited once.
 */
export class SessionLedger {
  /** When each process was last heard of, by reporter: milliseconds of the clock. */
  readonly #heard = new Map<string, { readonly processId: string; readonly at: number }>();
  readonly #endListeners = new Map<string, Set<() => void>>();

  readonly #openedAt: Date;

  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
    private readonly nodes: Pick<Collection<NodeEntry>, "get">,
  ) {
    this.#openedAt = clock.now();
  }

  /**
   * Takes a report.
   * @returns `true` when the process is not known, so that its list of live sessions is wanted.
   * @throws {MezError} `ACCESS_DENIED` for a session of another node.
   */
  async report(reporter: Reporter, processId: string, events: readonly SessionEvent[], live: LiveList | null): Promise<boolean> {
    const name = reporterName(reporter);
    const isKnown = live !== null || this.#heard.get(name)?.processId === processId;
    for (const { event } of events) if (event.kind === "started") checkNode(event.session, reporter);
    for (const session of live?.sessions ?? []) checkNode(session, reporter);
    const ended: string[] = [];
    if (events.length > 0 || live !== null) {
      await this.database.transaction(async (tx) => {
        ended.length = 0;
        for (const event of events) if (await this.#take(tx, reporter, event)) ended.push(event.sessionId);
        if (live !== null) ended.push(...(await this.#reconcile(tx, reporter, live)));
      });
    }
    if (isKnown) this.#heard.set(name, { processId, at: this.clock.now().getTime() });
    for (const id of ended) for (const listener of this.#endListeners.get(id) ?? []) listener();
    return !isKnown;
  }

  /** Oldest first. */
  list(): Promise<readonly LiveSessionRow[]> {
    return this.database.read((em) => findLiveSessions(em));
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

  /** Ends the sessions of processes that were not heard of since `moment`; each gets that long after our own start. */
  async endSilent(moment: Date, reason: string): Promise<number> {
    const isSilent = ({ reporter }: LiveSessionRow): boolean =>
      (this.#heard.get(reporter)?.at ?? this.#openedAt.getTime()) < moment.getTime();
    if (!(await this.list()).some(isSilent)) return 0;
    return this.database.transaction(async (tx) => {
      const silent = (await findLiveSessions(tx.em)).filter(isSilent);
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
    if (reporter.role === "proxy") this.#audit(tx, row, startRecord(row, reporter));
    this.#audit(tx, row, endRecord(row, reporter, at, event));
    await saveProgress(tx.em, sessionId, { lastNumber: number, endedAt: at });
    return true;
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
    if (reporter.role === "node") this.#audit(tx, row, startRecord(row, reporter));
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
    const at = this.clock.now();
    this.#audit(tx, row, lostRecord(row, at, reason));
    await saveProgress(tx.em, row.id, { lastNumber: row.lastNumber, endedAt: at });
  }

  #audit(tx: Transaction, { node }: LiveSessionRow, record: AuditRecord): void {
    tx.audit({ ...record, resourceLabels: this.nodes.get(node)?.labels ?? {} });
  }
}

// --- internal ---

function checkNode(session: StartedSession, reporter: Reporter): void {
  if (reporter.role === "proxy" || session.node === reporter.name) return;
  throw new MezError("ACCESS_DENIED", `node "${reporter.name}" may not report sessions of node "${session.node.slice(0, 64)}"`);
}
