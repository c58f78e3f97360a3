import { MezError } from "../../core/errors/error.js";
import type { AttemptLimiter } from "../../core/plugin/attempt-limiter.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import { Secret } from "../../core/plugin/secret.js";
import type { Clock } from "../../core/time/clock.js";
import type { Sealing } from "../keys/software/api.js";
import type { ProvenKind } from "./api.js";
import type { Ceremonies, CeremonyCall } from "./ceremonies.js";
import type { Ceremony } from "./ceremony.js";
import { isEnough, secretContext } from "./factor.js";
import { findFactors, takeStep } from "./factor-repository.js";
import { auditFailed, auditProven } from "./mfa-audit.js";
import { isRecoveryCode } from "./recovery-code.js";
import { countRecoveryCodes, takeRecoveryCode } from "./recovery-code-repository.js";
import { matchTotp } from "./totp.js";

export interface CodeCheckParts {
  readonly database: Database;
  readonly clock: Clock;
  readonly ceremonies: Ceremonies;
  readonly sealing: Sealing;
  readonly limiter: AttemptLimiter;
}

export interface AnsweredCode {
  readonly kind: ProvenKind;
  readonly recoveryCodesLeft: number;
}

/** Checks codes that people type: of an authenticator app, or for recovery. Each is taken once, whoever asks. */
export class CodeCheck {
  constructor(private readonly parts: CodeCheckParts) {}

  /** @throws {MezError} `MFA_REFUSED` for a wrong, used or empty code; `MFA_EXPIRED`, `TOO_MANY_ATTEMPTS` */
  async answer(holder: string, text: string, call: CeremonyCall): Promise<AnsweredCode> {
    const { database, ceremonies, limiter } = this.parts;
    const ceremony = await database.read((em) => ceremonies.requireOpen(em, "holder", holder, call));
    const code = text.replace(/\s/g, "");
    // A program without a person answers with nothing: that guesses nothing, and must not slow the person down.
    if (code === "") throw new MezError("MFA_REFUSED", "no code was given");
    const attempt = limiter.begin(ceremony.userName, ceremony.clientAddress);
    const matched = /^\d{6}$/.test(code) ? await this.#match(ceremony.userName, code) : null;
    const outcome = await database.transaction(async (tx): Promise<AnsweredCode | string> => {
      const current = await ceremonies.requireOpen(tx.em, "holder", holder, call);
      const taken = await this.#take(tx, current, code, matched);
      if (typeof taken === "string") {
        await ceremonies.fail(tx, current);
        auditFailed(tx, current, taken);
        return taken;
      }
      await ceremonies.finish(tx, current, taken.kind, taken.factorId);
      auditProven(tx, current, taken.kind);
      return { kind: taken.kind, recoveryCodesLeft: await countRecoveryCodes(tx.em, current.userName) };
    });
    if (typeof outcome === "string") throw new MezError("MFA_REFUSED", outcome);
    attempt.succeeded();
    return outcome;
  }

  /** The factors whose code it is; their secrets are opened before the transaction, which others wait for. */
  async #match(userName: string, code: string): Promise<readonly { readonly id: string; readonly step: number }[]> {
    const { database, sealing, clock } = this.parts;
    const factors = await database.read((em) => findFactors(em, userName));
    const found: { id: string; step: number }[] = [];
    for (const factor of factors) {
      if (factor.kind !== "totp") continue;
      const secret = new Secret((await sealing.open(factor.sealedSecret, secretContext(factor.id))).toString());
      const step = matchTotp(secret, code, clock.now());
      if (step !== null) found.push({ id: factor.id, step });
    }
    return found;
  }

  /** Uses a code up. @returns Why not, one line. */
  async #take(
    tx: Transaction,
    { userName, minimum }: Ceremony,
    code: string,
    matched: readonly { readonly id: string; readonly step: number }[] | null,
  ): Promise<{ readonly kind: ProvenKind; readonly factorId: string | null } | string> {
    if (matched !== null) {
      if (minimum !== "" && !isEnough("totp", minimum)) return "a code is not enough here; use your passkey or security key";
      for (const { id, step } of matched) {
        if (await takeStep(tx.em, id, step, this.parts.clock.now())) return { kind: "totp", factorId: id };
      }
      return matched.length > 0 ? "this code was used already; wait for the next one" : "the code is wrong";
    }
    if (!isRecoveryCode(code)) return "the code is wrong";
    if (minimum !== "") return "a recovery code is for logins only; use your authenticator app or security key";
    return (await takeRecoveryCode(tx.em, userName, code)) ? { kind: "recovery_code", factorId: null } : "the code is wrong";
  }
}
