import { MezError } from "../../core/errors/error.js";
import type { AuditRecord } from "../../core/plugin/audit.js";
import type { CollectionSource } from "../../core/plugin/collection.js";
import type { Database } from "../../core/plugin/database.js";
import type { Clock } from "../../core/time/clock.js";
import { SESSION_TERMINATIONS, type SessionTermination } from "./api.js";
import type { LiveSessionRow } from "./live-session.js";
import type { SessionLedger } from "./session-ledger.js";
import {
  deleteEndedBefore,
  deleteReportersBefore,
  deleteTerminationsBefore,
  findSession,
  findTerminations,
  hasEndedBefore,
  saveTermination,
} from "./session-repository.js";

/** Who terminates a session. */
export interface TerminationAuthor {
  readonly name: string;
  readonly audit: Omit<AuditRecord, "type">;
}

export interface SessionServiceOptions {
  readonly database: Database;
  readonly ledger: SessionLedger;
  readonly clock: Clock;
  /** How long a node has to confirm the end of a session, in milliseconds. Default 2000. */
  readonly confirmMs?: number;
}

/** The use cases of live sessions on the auth service. */
export class SessionService implements CollectionSource<SessionTermination> {
  constructor(private readonly options: SessionServiceOptions) {}

  list(): Promise<readonly LiveSessionRow[]> {
    return this.options.ledger.list();
  }

  /**
   * Ends a session wherever it runs: proxy and node hear of it with the commit.
   * @param reason For the person; may be empty.
   * @returns `ended` is false when the node did not confirm in time.
   * @throws {MezError} `NOT_FOUND`
   */
  async terminate(
    id: string,
    reason: string,
    author: TerminationAuthor,
  ): Promise<{ readonly session: LiveSessionRow; readonly ended: boolean }> {
    const { database, ledger, clock, confirmMs = 2000 } = this.options;
    const confirmation = new Confirmation();
    // Before the commit: the end can be reported before we are back here.
    const unlisten = ledger.onEnd(id, () => confirmation.give());
    try {
      const session = await database.transaction(async (tx) => {
        const row = await findSession(tx.em, id);
        if (row === null || row.endedAt !== null) {
          throw new MezError("NOT_FOUND", `there is no live session "${id.slice(0, 60)}"; mezctl sessions ls shows them`);
        }
        const termination = { reason, by: author.name, at: clock.now().toISOString() };
        await saveTermination(tx.em, id, termination);
        tx.put(SESSION_TERMINATIONS, id, termination);
        tx.audit({
          ...author.audit,
          type: "session.terminated",
          userName: author.name,
          resourceType: "session",
          resourceName: id,
          sessionId: id,
          serverHostname: row.node,
          metadata: { reason, session_user: row.user, login: row.login, node: row.node },
        });
        return row;
      });
      return { session, ended: await this.#hasEnded(id, confirmation, confirmMs) };
    } finally {
      unlisten();
    }
  }

  /** The end may be reported to another auth server: then it is seen in the database. */
  async #hasEnded(id: string, confirmation: Confirmation, ms: number): Promise<boolean> {
    for (const until = performance.now() + ms; ; ) {
      const rest = until - performance.now();
      if (await confirmation.wait(Math.max(0, Math.min(rest, LOOK_MS)))) return true;
      if ((await this.options.database.read((em) => findSession(em, id)))?.endedAt != null) return true;
      if (rest <= 0) return false;
    }
  }

  async entries(): Promise<readonly (readonly [string, SessionTermination])[]> {
    return this.options.database.read(findTerminations);
  }

  /** Tells other auth servers what was heard here; all of them do it. */
  tell(): Promise<void> {
    return this.options.ledger.tell();
  }

  /** Gives up processes that are silent, and forgets what is long over. */
  async sweep(): Promise<void> {
    const { database, ledger, clock } = this.options;
    const now = clock.now().getTime();
    await ledger.endSilent(new Date(now - SILENT_MS), "nothing was heard of the session's host for 10 minutes");
    const [ended, terminated] = [new Date(now - KEEP_ENDED_MS), new Date(now - KEEP_TERMINATION_MS)];
    const isNeeded = await database.read(
      async (em) =>
        (await hasEndedBefore(em, ended)) || (await findTerminations(em)).some(([, { at }]) => new Date(at) < terminated),
    );
    if (!isNeeded) return;
    await database.transaction(async (tx) => {
      await deleteEndedBefore(tx.em, ended);
      await deleteReportersBefore(tx.em, ended);
      for (const id of await deleteTerminationsBefore(tx.em, terminated)) tx.remove(SESSION_TERMINATIONS, id);
    });
  }
}

// --- internal ---

const LOOK_MS = 200;
const SILENT_MS = 10 * 60_000;
const KEEP_ENDED_MS = 24 * 3_600_000;
const KEEP_TERMINATION_MS = 10 * 60_000;

/** Something that is given once, before or while it is waited for. */
class Confirmation {
  #given = false;
  #wake: () => void = () => {};

  give(): void {
    this.#given = true;
    this.#wake();
  }

  /** `false` when it was not given within `ms`. */
  async wait(ms: number): Promise<boolean> {
    if (!this.#given) {
      let late: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        late = setTimeout(resolve, ms);
      });
      clearTimeout(late);
    }
    return this.#given;
  }
}
