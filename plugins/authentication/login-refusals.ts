import { MezError } from "../../core/errors/error.js";
import type { Database } from "../../core/plugin/database.js";
import type { GuardRefusal } from "../../core/ports/guard.js";
import type { LoginSteps } from "./login-steps.js";

/** Who failed to log in, from where and how. */
export interface FailedLogin {
  readonly userName: string;
  readonly clientAddress: string;
  /** Who checks the password; absent or `null` for this cluster itself. */
  readonly connector?: string | null;
}

/** What a name of a user looks like. */
export const USER_NAME = /^[a-z0-9][a-z0-9._@-]{0,63}$/;

/** Writes to the audit log why somebody did not get in, and makes the error that they are told. */
export class LoginRefusals {
  constructor(
    private readonly database: Pick<Database, "transaction">,
    private readonly steps: Pick<LoginSteps, "isRefusal" | "auditRefusal">,
  ) {}

  /**
   * A wrong name or password. A name that no user can have is left out of the log: people type passwords into the wrong field.
   * @returns `INVALID_CREDENTIALS`
   */
  async wrongCredentials(failed: FailedLogin, reason: string): Promise<MezError> {
    const isName = USER_NAME.test(failed.userName);
    await this.#audit({ ...failed, userName: isName ? failed.userName : "" }, "invalid credentials", { reason });
    return invalidCredentials(`${reason}: ${isName ? failed.userName : "(not a user name)"}`);
  }

  /** The right password of somebody whom a guard refuses. @returns `ACCESS_DENIED` */
  async locked(failed: FailedLogin, { message, detail }: GuardRefusal): Promise<MezError> {
    await this.#audit(failed, message, { reason: "refused", detail });
    return new MezError("ACCESS_DENIED", message, { detail });
  }

  /** Throws what went wrong; that a login step refused is written down, since the step's own transaction was rolled back. */
  async step(failed: FailedLogin, error: unknown): Promise<never> {
    if (this.steps.isRefusal(error)) {
      await this.steps.auditRefusal(error);
      await this.#audit(failed, error.message, { reason: error.code });
    }
    throw error;
  }

  async #audit(failed: FailedLogin, errorMessage: string, why: Readonly<Record<string, string>>): Promise<void> {
    const { userName, clientAddress: clientIp } = failed;
    const metadata = { method: methodOf(failed), ...why };
    await this.database.transaction(async (tx) => {
      tx.audit({ type: "user.login.failed", userName, clientIp, success: false, errorMessage, metadata });
    });
  }
}

/** How the password of a login is checked, for the audit log. */
export function methodOf({ connector = null }: Pick<FailedLogin, "connector">): string {
  return connector === null ? "local" : `connector:${connector}`;
}

/** @param detail For the log; whoever asks is told the same whichever part is wrong. */
export function invalidCredentials(detail: string): MezError {
  return new MezError("INVALID_CREDENTIALS", "invalid credentials", { detail });
}
