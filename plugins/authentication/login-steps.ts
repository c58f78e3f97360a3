import { isMezError, MezError } from "../../core/errors/error.js";
import type { PortView } from "../../core/plugin/contract.js";
import type { Transaction } from "../../core/plugin/database.js";
import type { LoginAttempt, LoginStep, LoginStepOutcome } from "../../core/ports/login-step.js";

/** What login steps want of a client, by step; empty when they are passed. */
export type LoginDemands = readonly { readonly step: string; readonly message: Buffer }[];

/** Takes a login through every step that plugins add to the password. */
export class LoginSteps {
  /** Refusals by a step, which are audited after their transaction was rolled back. */
  readonly #refusals = new WeakSet<MezError>();

  /** @param demanded Steps that nobody may do without; a login is refused when nothing takes it through one of them. */
  constructor(
    private readonly steps: Pick<PortView<LoginStep>, "names" | "get">,
    private readonly demanded: () => readonly string[],
  ) {}

  /**
   * Asks every step; when all are passed, uses up what was answered.
   * @returns What is demanded, and facts for the audit record.
   * @throws {MezError} what a step says to a wrong answer
   */
  async take(
    tx: Transaction,
    attempt: Omit<LoginAttempt, "answer">,
    answers: ReadonlyMap<string, Buffer>,
  ): Promise<{ readonly demands: LoginDemands; readonly facts: Readonly<Record<string, unknown>> }> {
    const missing = this.demanded().find((step) => !this.steps.names().includes(step));
    if (missing !== undefined) {
      const why = `this cluster asks everybody for more than a password, and its plugin "${missing}" is off; tell an administrator`;
      this.#refuse(new MezError("ACCESS_DENIED", why));
    }
    const outcomes: (readonly [step: string, outcome: LoginStepOutcome])[] = [];
    for (const step of this.steps.names()) {
      const check = this.steps.get(step).check(tx, { ...attempt, answer: answers.get(step) ?? null });
      outcomes.push([step, await check.catch((error: unknown) => this.#refuse(error))]);
    }
    const demands = outcomes.flatMap(([step, outcome]) => ("demand" in outcome ? [{ step, message: outcome.demand }] : []));
    if (demands.length > 0) return { demands, facts: {} };
    const passed = outcomes.flatMap(([, outcome]) => ("passed" in outcome ? [outcome] : []));
    for (const outcome of passed) await outcome.use?.().catch((error: unknown) => this.#refuse(error));
    return { demands, facts: Object.assign({}, ...passed.map((outcome) => outcome.passed)) as Record<string, unknown> };
  }

  /** Tells whether `error` is what a step said to a wrong answer. */
  isRefusal(error: unknown): error is MezError {
    return isMezError(error) && this.#refusals.has(error);
  }

  #refuse(error: unknown): never {
    if (isMezError(error)) this.#refusals.add(error);
    throw error;
  }
}
