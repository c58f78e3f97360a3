import type { DurationSetting } from "../../core/plugin/cluster-settings.js";
import type { EventType, ServiceToken } from "../../core/plugin/contract.js";
import type { Transaction } from "../../core/plugin/database.js";
import type { Secret } from "../../core/plugin/secret.js";

/** A password that passed the policy, hashed and ready to be stored. Made outside a transaction, because hashing is slow. */
export interface PreparedPassword {
  /** Argon2id in PHC string format. */
  readonly hash: Secret;
}

/** Local passwords. */
export interface Passwords {
  /** A random one-time password, 24 characters without look-alikes. */
  generate(): Secret;
  /** @throws {MezError} `PASSWORD_REFUSED` saying what the policy wants. */
  prepare(userName: string, password: Secret): Promise<PreparedPassword>;
  /** Stores it in place of the earlier one and ends the sessions that were opened with that. */
  set(tx: Transaction, userName: string, password: PreparedPassword, mustChange: boolean): Promise<void>;
  /** Removes the password and ends every login session of the user. */
  forget(tx: Transaction, userName: string): Promise<void>;
  /** Called right after the commit of `set` or `forget`, so that no session that ended with it is good for a moment longer. */
  sessionsEnded(userName: string): void;
}

export const PASSWORDS: ServiceToken<Passwords> = { id: "passwords", version: 1 };

/** Login sessions of a user have ended: all of them, all but one, or only one. */
export interface LoginSessionsEnded {
  readonly userName: string;
  /** Id of the session that goes on, if any. */
  readonly exceptSessionId?: string;
  /** Id of the one session that ended, when others go on. */
  readonly onlySessionId?: string;
}

export const LOGIN_SESSIONS_ENDED: EventType<LoginSessionsEnded> = { name: "login-sessions.ended", version: 1 };

/** How long a login lasts unless it asks otherwise. */
export const SESSION_TTL: DurationSetting = {
  key: "session_ttl",
  type: "duration",
  minSeconds: 1,
  maxSeconds: 86_400,
  default: 43_200,
  description: "how long a login lasts unless it asks otherwise; never longer than max_session_ttl of the person's roles",
};
