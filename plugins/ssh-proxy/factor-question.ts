import { isMezError, MezError } from "../../core/errors/error.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { KeyboardInteractiveAttempt } from "../../core/ssh/authentication-attempt.js";
import type { SessionProof, SessionProofs } from "../mfa/api.js";
import type { ProvenSessionMfa } from "../roles/api.js";
import type { CertifiedPerson } from "./certificate-gate.js";
import type { FactorState } from "./session-policy.js";

/** How long a person has to answer. */
export const FACTOR_GRACE_MS = 150_000;

export interface FactorQuestionParts {
  /** `null` while the cluster has no second factors. */
  proofs(): SessionProofs | null;
  readonly logger: Logger;
}

/** A question that was prepared, or why none can be asked. */
export type PreparedQuestion = { readonly proof: SessionProof } | { readonly missingBecause: string };

/** Asks people for a second factor, over keyboard-interactive (RFC 4256), so that plain OpenSSH clients can answer. */
export class FactorQuestion {
  readonly #waiting = new Map<string, number>();

  constructor(private readonly parts: FactorQuestionParts) {}

  /**
   * Begins a proof of the strongest kind that is demanded and that the person has. Whoever has none, or an auth service
   * that is away, closes the nodes that ask for one, and no others.
   */
  async prepare({ user }: CertifiedPerson, demanded: ProvenSessionMfa, clientAddress: string): Promise<PreparedQuestion> {
    const { logger } = this.parts;
    const proofs = this.parts.proofs();
    if (proofs === null) return { missingBecause: "this cluster has no second factors: the plugin mfa is off" };
    let missingBecause = "";
    for (const kind of KINDS.slice(KINDS.indexOf(demanded))) {
      try {
        const proof = await proofs.begin({ user, clientAddress, kind });
        if (proof.takesCode || proof.link !== null) return { proof };
        missingBecause = "this cluster has no web pages, which passkeys need";
      } catch (error) {
        if (!isMezError(error)) throw error;
        if (error.code !== "MFA_REQUIRED") {
          logger.warn("a second factor cannot be checked", { user, reason: error.message });
          return { missingBecause: "second factors cannot be checked now; try again in a moment" };
        }
        missingBecause = `${user} has none that would do; add one: msh mfa add`;
      }
    }
    return { missingBecause };
  }

  /**
   * Leads the person through a proof, and uses it up for this connection.
   * @throws {MezError} `MFA_REFUSED`, `MFA_EXPIRED`, `TOO_MANY_ATTEMPTS`, `LIMIT_EXCEEDED`; shown to the client
   */
  async ask({ user }: CertifiedPerson, proof: SessionProof, attempt: KeyboardInteractiveAttempt): Promise<FactorState> {
    const count = this.#waiting.get(user) ?? 0;
    if (count >= MAX_WAITING) throw new MezError("LIMIT_EXCEEDED", `${user} is asked for a second factor ${count} times already`);
    this.#waiting.set(user, count + 1);
    try {
      await this.#prove(user, proof, attempt);
      return { kind: await proof.use(), missingBecause: "" };
    } finally {
      const left = (this.#waiting.get(user) ?? 1) - 1;
      if (left === 0) this.#waiting.delete(user);
      else this.#waiting.set(user, left);
    }
  }

  async #prove(user: string, proof: SessionProof, attempt: KeyboardInteractiveAttempt): Promise<void> {
    const { link, checkCode } = proof;
    const page = link === null ? "" : `open ${link} (it shows ${checkCode})`;
    let remark = `A session of ${user} needs a second factor.`;
    for (let round = 1; proof.takesCode; round++) {
      const instruction = page === "" ? remark : `${remark}\nWith a passkey or security key: ${page}, then press Enter.`;
      const [code = ""] = await attempt.prompt(instruction, [{ prompt: "Code of your authenticator app: ", echo: false }]);
      if (code.trim() === "" && page !== "") break;
      try {
        return await proof.answer(code);
      } catch (error) {
        if (!isMezError(error, "MFA_REFUSED") || round === MAX_ROUNDS) throw error;
        remark = error.message;
      }
    }
    // Without questions: the client shows the text and goes on when the page is done.
    if (!proof.takesCode) await attempt.prompt(`${remark}\nUse your passkey or security key: ${page}.`, []);
    await proof.done(attempt.signal);
  }
}

// --- internal ---

/** Strongest first. */
const KINDS: readonly ProvenSessionMfa[] = ["hardware_key", "webauthn", "totp"];
const MAX_ROUNDS = 3;
/** Questions to one person at once. */
const MAX_WAITING = 10;
