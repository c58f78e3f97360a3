import { MezError } from "../../core/errors/error.js";
import type { Transaction } from "../../core/plugin/database.js";
import type { LoginAttempt, LoginStep, LoginStepOutcome } from "../../core/ports/login-step.js";
import { LoginAnswer, LoginDemand } from "../../proto/gen/mezite/mfa/v1/mfa.js";
import type { Ceremonies } from "./ceremonies.js";
import { deleteCeremony } from "./ceremony-repository.js";
import { findFactors } from "./factor-repository.js";
import { toMessage } from "./mfa-message.js";
import type { SecondFactorMode } from "./second-factor-mode.js";

export interface LoginFactorParts {
  readonly ceremonies: Ceremonies;
  readonly mode: () => SecondFactorMode;
  /** Base of links, e.g. `https://mezite.example.com:3080`; `null` when the cluster has no web pages. */
  readonly webAddress: (tx: Transaction) => Promise<string | null>;
}

/** The login step `mfa`: a ceremony between the right password and the session. */
export class LoginFactor implements LoginStep {
  constructor(private readonly parts: LoginFactorParts) {}

  async check(tx: Transaction, attempt: LoginAttempt): Promise<LoginStepOutcome> {
    const { ceremonies, mode } = this.parts;
    const { userName, clientAddress, answer } = attempt;
    if (answer !== null) return this.#take(tx, attempt, holderOf(answer));
    const factors = mode() === "off" ? [] : await findFactors(tx.em, userName);
    if (factors.length === 0 && mode() !== "required") return { passed: {} };
    const mayEnrol = factors.length === 0;
    const opened = await ceremonies.open(tx, { purpose: "login", userName, clientAddress, mayEnrol });
    const ceremony = toMessage(opened, { factors, webAddress: await this.parts.webAddress(tx) });
    return { demand: Buffer.from(LoginDemand.encode({ ceremony }).finish()) };
  }

  async #take(tx: Transaction, { userName, clientAddress }: LoginAttempt, holder: string): Promise<LoginStepOutcome> {
    const call = { caller: { kind: "anonymous" }, clientAddress } as const;
    const { id, provenKind } = await this.parts.ceremonies.proven(tx, holder, { purpose: "login", userName, call });
    return { passed: { second_factor: provenKind }, use: () => deleteCeremony(tx.em, id) };
  }
}

// --- internal ---

function holderOf(answer: Buffer): string {
  try {
    return LoginAnswer.decode(answer).holder;
  } catch (cause) {
    throw new MezError("INVALID_ARGUMENT", "the answer to the second factor is damaged", { cause });
  }
}
