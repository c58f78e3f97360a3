import type { Database } from "../../core/plugin/database.js";
import type { Clock } from "../../core/time/clock.js";
import type { LoginSessionsEnded } from "./api.js";
import {
  deleteExpiredSessions,
  findSession,
  findSessionById,
  hasExpiredSessions,
  markSessionUsed,
} from "./login-session-repository.js";
import { findPassword } from "./password-repository.js";

/** What a call needs to know of its login session. */
export interface ActiveSession {
  readonly id: string;
  readonly userName: string;
  readonly expiresAt: Date;
  readonly mustChangePassword: boolean;
  /** Id of the device that it was opened at, `null` for none that was shown. */
  readonly device: string | null;
}

/**
 * Looks login sessions up by the hash of their token; remembers those in use for some seconds, so that not every call asks the
 * database. The event of an ending tells other auth servers sooner, and may be late there.
 */
export class LoginSessions {
  readonly #active = new Map<string, Remembered>();
  /** The same by their ids. */
  readonly #byId = new Map<string, Remembered>();
  readonly #used = new Set<string>();
  /** Counts endings: what was read before one is not remembered after it. */
  #endings = 0;

  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  /** @returns `null` for an unknown, ended or expired one. */
  async find(tokenHash: string): Promise<ActiveSession | null> {
    const known = this.#active.get(tokenHash);
    const session = known !== undefined && this.#isFresh(known) ? known.session : await this.#read(tokenHash);
    if (session === null || session.expiresAt <= this.clock.now()) {
      this.#drop(tokenHash);
      return null;
    }
    this.#used.add(session.id);
    return session;
  }

  /** When a session in use ends by itself; `undefined` when it has ended already. */
  async expiryOf(id: string): Promise<Date | undefined> {
    const known = this.#byId.get(id);
    if (known !== undefined && this.#isFresh(known)) return known.session.expiresAt;
    return (await this.database.read((em) => findSessionById(em, id)))?.expiresAt;
  }

  /** Forgets what has ended; called right after the commit and again by the event, which also reaches other auth servers. */
  forget({ userName }: LoginSessionsEnded): void {
    this.#endings++;
    // Those that go on are forgotten too, and read again: their user may no longer have to change the password.
    for (const [tokenHash, { session }] of this.#active) if (session.userName === userName) this.#drop(tokenHash);
  }

  /** Some may have ended that this process has not heard of. */
  forgetAll(): void {
    this.#endings++;
    this.#dropAll();
  }

  /** Writes when sessions were last used, and deletes expired ones. Takes the writer only when there is something to do. */
  async tidy(): Promise<void> {
    const now = this.clock.now();
    for (const [tokenHash, known] of this.#active) if (!this.#isFresh(known)) this.#drop(tokenHash);
    const used = [...this.#used];
    this.#used.clear();
    if (used.length === 0 && !(await this.database.read((em) => hasExpiredSessions(em, now)))) return;
    await this.database.transaction(async (tx) => {
      for (const id of used) await markSessionUsed(tx.em, id, now);
      await deleteExpiredSessions(tx.em, now);
    });
  }

  async #read(tokenHash: string): Promise<ActiveSession | null> {
    const endingsBefore = this.#endings;
    const readAt = this.clock.now();
    const session = await this.database.read(async (em) => {
      const stored = await findSession(em, tokenHash);
      if (stored === null) return null;
      const { id, userName, expiresAt, device } = stored;
      return { id, userName, expiresAt, device, mustChangePassword: (await findPassword(em, userName))?.mustChange ?? false };
    });
    this.#drop(tokenHash);
    if (session === null || endingsBefore !== this.#endings) return session;
    if (this.#active.size >= MAX_REMEMBERED) this.#dropAll();
    const remembered = { session, readAt };
    this.#active.set(tokenHash, remembered);
    this.#byId.set(session.id, remembered);
    return session;
  }

  #drop(tokenHash: string): void {
    const known = this.#active.get(tokenHash);
    if (known === undefined) return;
    this.#active.delete(tokenHash);
    this.#byId.delete(known.session.id);
  }

  #dropAll(): void {
    this.#active.clear();
    this.#byId.clear();
  }

  #isFresh({ readAt }: Remembered): boolean {
    const age = this.clock.now().getTime() - readAt.getTime();
    return age >= 0 && age < REMEMBERED_MS;
  }
}

// --- internal ---

interface Remembered {
  readonly session: ActiveSession;
  readonly readAt: Date;
}

/** As long as an auth server that hears nothing of its database goes on answering. */
const REMEMBERED_MS = 5_000;

const MAX_REMEMBERED = 20_000;
