import type { MezError } from "../errors/error.js";
import type { Port } from "../plugin/contract.js";
import type { Transaction } from "../plugin/database.js";

/** A login whose password was right, and what its client says to one step. */
export interface LoginAttempt {
  readonly userName: string;
  readonly userRoles: readonly string[];
  readonly clientAddress: string;
  /** Id that the login session gets when every step is passed. */
  readonly sessionId: string;
  /** The client's answer to what the step demanded before; `null` when it brought none. */
  readonly answer: Buffer | null;
}

/** A certificate that somebody who has logged in asks for. */
export interface CertificateOrder {
  readonly userName: string;
  readonly userRoles: readonly string[];
  readonly clientAddress: string;
  readonly sessionId: string;
  /** Id of the device that the login was made at; `null` for none. */
  readonly device: string | null;
  /** Keys to be certified: OpenSSH wire form, then SubjectPublicKeyInfo; an absent one is empty. */
  readonly publicKeys: readonly Buffer[];
  readonly answer: Buffer | null;
}

export type LoginStepOutcome =
  | {
      /** What the client has to do; a message that the step's client side understands. No session is opened. */
      readonly demand: Buffer;
    }
  | {
      /** For the audit record of the login, e.g. `{ second_factor: "totp" }`. */
      readonly passed: Readonly<Record<string, unknown>>;
      /** Id of the device that the person was shown to be at; the login session and its certificates carry it. */
      readonly device?: string;
      /** Called in the same transaction when every other step is passed too, e.g. to use up what was answered. */
      use?(): Promise<void>;
    };

/** Something besides the password that a login may need: a second factor, a device. */
export interface LoginStep {
  /**
   * Asked in the transaction that opens the session, once more each time that the client comes with answers.
   * @throws {MezError} for an answer that does not do; the login is refused and audited with the error's message
   */
  check(tx: Transaction, attempt: LoginAttempt): Promise<LoginStepOutcome>;
  /**
   * Asked for each certificate of a login at a device, in the transaction that audits it.
   * @throws {MezError} for an answer that does not do
   */
  checkOrder?(tx: Transaction, order: CertificateOrder): Promise<LoginStepOutcome>;
  /** Audits a refusal of this step, when the transaction that it refused was rolled back. */
  refused?(attempt: LoginAttempt | CertificateOrder, error: MezError): Promise<void>;
}

export const LOGIN_STEP: Port<LoginStep> = { id: "login-step", version: 1, cardinality: "zero-or-more" };
