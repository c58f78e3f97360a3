import { isMezError, MezError } from "../../core/errors/error.js";
import type { PortView } from "../../core/plugin/contract.js";
import type { Transaction } from "../../core/plugin/database.js";
import type { CertificateOrder, LoginAttempt, LoginStep, LoginStepOutcome } from "../../core/ports/login-step.js";

/** What login steps want of a client, by step; empty when they are passed. */
export type LoginDemands = readonly { readonly step: string; readonly message: Buffer }[];

/** What came of all steps: with demands, nothing is opened. */
export interface StepsTaken {
  readonly demands: LoginDemands;
  /** For the audit record. */
  readonly facts: Readonly<Record<string, unknown>>;
  /** Id of the device that the person is at, `null` for none that was shown. */
  readonly device: string | null;
}

/** Takes a login through every step that plugins add to the password. */
export class LoginSteps {
  /** Refusals by a step, which are audited after their transaction was rolled back. */
  readonly #refusals = new WeakMap<MezError, () => Promise<void> | undefined>();

  /** @param demanded Steps that nobody may do without; a login is refused when nothing takes it through one of them. */
  constructor(
    private readonly steps: Pick<PortView<LoginStep>, "names" | "get">,
    private readonly demanded: () => readonly string[],
  ) {}

  /**
   * Asks every step; when all are passed, uses up what was answered.
   * @throws {MezError} what a step says to a wrong answer
   */
  async take(tx: Transaction, attempt: Omit<LoginAttempt, "answer">, answers: ReadonlyMap<string, Buffer>): Promise<StepsTaken> {
    const missing = this.demanded().find((step) => !this.steps.names().includes(step));
    if (missing !== undefined) {
      const why = `this cluster asks everybody for more than a password, and its plugin "${missing}" is off; tell an administrator`;
      this.#refuse(new MezError("ACCESS_DENIED", why), null, { ...attempt, answer: null });
    }
    return this.#askAll(attempt, answers, (step, asked) => step.check(tx, asked));
  }

  /** The same for certificates of a login that was made at a device. */
  async takeOrder(
    tx: Transaction,
    order: Omit<CertificateOrder, "answer">,
    answers: ReadonlyMap<string, Buffer>,
  ): Promise<StepsTaken> {
    return this.#askAll(order, answers, async (step, asked) => (await step.checkOrder?.(tx, asked)) ?? { passed: {} });
  }

  /** Tells whether `error` is what a step said to a wrong answer. */
  isRefusal(error: unknown): error is MezError {
    return isMezError(error) && this.#refusals.has(error);
  }

  /** Has the step that refused write its own audit record. */
  async auditRefusal(error: MezError): Promise<void> {
    await this.#refusals.get(error)?.();
  }

  async #askAll<Asked extends Omit<LoginAttempt, "answer"> | Omit<CertificateOrder, "answer">>(
    asked: Asked,
    answers: ReadonlyMap<string, Buffer>,
    ask: (step: LoginStep, asked: Asked & { readonly answer: Buffer | null }) => Promise<LoginStepOutcome>,
  ): Promise<StepsTaken> {
    const outcomes: (readonly [step: string, outcome: LoginStepOutcome])[] = [];
    const refuseAs = (name: string) => (error: unknown) => this.#refuse(error, this.steps.get(name), { ...asked, answer: null });
    for (const name of this.steps.names()) {
      const outcome = ask(this.steps.get(name), { ...asked, answer: answers.get(name) ?? null });
      outcomes.push([name, await outcome.catch(refuseAs(name))]);
    }
    const demands = outcomes.flatMap(([step, outcome]) => ("demand" in outcome ? [{ step, message: outcome.demand }] : []));
    if (demands.length > 0) return { demands, facts: {}, device: null };
    const facts: Record<string, unknown> = {};
    let device: string | null = null;
    for (const [name, outcome] of outcomes) {
      if ("demand" in outcome) continue;
      await outcome.use?.().catch(refuseAs(name));
      Object.assign(facts, outcome.passed);
      device = outcome.device ?? device;
    }
    return { demands, facts, device };
  }

  #refuse(error: unknown, step: LoginStep | null, attempt: LoginAttempt | CertificateOrder): never {
    if (isMezError(error)) this.#refusals.set(error, () => step?.refused?.(attempt, error));
    throw error;
  }
}
