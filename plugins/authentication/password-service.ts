import type { Transaction } from "../../core/plugin/database.js";
import type { Secret } from "../../core/plugin/secret.js";
import type { Clock } from "../../core/time/clock.js";
import { LOGIN_SESSIONS_ENDED, type Passwords, type PreparedPassword } from "./api.js";
import { deleteSessionsOf } from "./login-session-repository.js";
import type { LoginSessions } from "./login-sessions.js";
import { hashPassword } from "./password-hash.js";
import { checkPassword, generatePassword } from "./password-policy.js";
import { deletePassword, savePassword } from "./password-repository.js";

/** Makes and stores local passwords. */
export class PasswordService implements Passwords {
  constructor(
    private readonly clock: Clock,
    private readonly minLength: number,
    private readonly sessions: Pick<LoginSessions, "forget">,
  ) {}

  generate(): Secret {
    return generatePassword();
  }

  async prepare(userName: string, password: Secret): Promise<PreparedPassword> {
    checkPassword(userName, password, this.minLength);
    return { hash: await hashPassword(password) };
  }

  /** @param exceptSessionId The login session that goes on: that of a person who changes the own password. */
  async set(
    tx: Transaction,
    userName: string,
    { hash }: PreparedPassword,
    mustChange: boolean,
    exceptSessionId?: string,
  ): Promise<void> {
    await savePassword(tx.em, userName, { hash, mustChange }, this.clock.now());
    await deleteSessionsOf(tx.em, userName, exceptSessionId);
    tx.emit(LOGIN_SESSIONS_ENDED, { userName, exceptSessionId });
  }

  async forget(tx: Transaction, userName: string): Promise<void> {
    await deletePassword(tx.em, userName);
    await deleteSessionsOf(tx.em, userName);
    tx.emit(LOGIN_SESSIONS_ENDED, { userName });
  }

  sessionsEnded(userName: string): void {
    this.sessions.forget({ userName });
  }
}
