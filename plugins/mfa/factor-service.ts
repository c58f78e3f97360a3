import { MezError } from "../../core/errors/error.js";
import { authorOf } from "../../core/plugin/audit-author.js";
import type { Collection } from "../../core/plugin/collection.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import type { CallContext } from "../../core/plugin/rpc.js";
import type { Secret } from "../../core/plugin/secret.js";
import type { UserData } from "../../core/ports/user-data.js";
import type { UserEntry } from "../roles/api.js";
import type { Ceremonies } from "./ceremonies.js";
import type { OpenedCeremony } from "./ceremony.js";
import { deleteCeremony } from "./ceremony-repository.js";
import { type Factor, MAX_FACTORS } from "./factor.js";
import { deleteFactor, deleteFactorsOf, findFactors } from "./factor-repository.js";
import { countRecoveryCodes, deleteRecoveryCodes, replaceRecoveryCodes } from "./recovery-code-repository.js";
import type { SecondFactorMode } from "./second-factor-mode.js";

export interface FactorServiceParts {
  readonly database: Database;
  readonly ceremonies: Ceremonies;
  readonly users: Collection<UserEntry>;
  readonly mode: () => SecondFactorMode;
  readonly linkTtlSeconds: number;
}

export interface FactorList {
  readonly factors: readonly Factor[];
  readonly recoveryCodes: number;
}

/** The factors that people have: their own business, after proving one; and the administrators'. */
export class FactorService implements UserData {
  constructor(private readonly parts: FactorServiceParts) {}

  /** @throws {MezError} `USER_NOT_FOUND` */
  async list(userName: string): Promise<FactorList> {
    this.#requireUser(userName);
    return this.parts.database.read(async (em) => ({
      factors: await findFactors(em, userName),
      recoveryCodes: await countRecoveryCodes(em, userName),
    }));
  }

  /** @returns `null` when the person has no factor yet, so that none can be proven. */
  async beginProof(call: CallContext): Promise<OpenedCeremony | null> {
    const userName = nameOf(call);
    return this.parts.database.transaction(async (tx) => {
      if ((await findFactors(tx.em, userName)).length === 0) return null;
      return this.parts.ceremonies.open(tx, { purpose: "manage", userName, clientAddress: call.clientAddress });
    });
  }

  /** @throws {MezError} `MFA_REQUIRED` without a proof, when the person has a factor; `MFA_EXPIRED`, `LIMIT_EXCEEDED` */
  async beginEnrolment(proof: string, factorName: string, call: CallContext): Promise<OpenedCeremony> {
    const userName = nameOf(call);
    return this.parts.database.transaction(async (tx) => {
      const factors = await findFactors(tx.em, userName);
      if (factors.length > 0) await this.#useProof(tx, proof, userName, call);
      if (factors.length >= MAX_FACTORS)
        throw new MezError("LIMIT_EXCEEDED", `you have ${MAX_FACTORS} factors already; remove one first`);
      const wanted = { purpose: "enrol", userName, clientAddress: call.clientAddress, mayEnrol: true, factorName } as const;
      return this.parts.ceremonies.open(tx, wanted);
    });
  }

  /** @throws {MezError} `FACTOR_NOT_FOUND`, `LAST_FACTOR`, `MFA_REQUIRED`, `MFA_EXPIRED` */
  async remove(factor: string, proof: string, call: CallContext): Promise<void> {
    const userName = nameOf(call);
    await this.parts.database.transaction(async (tx) => {
      const factors = await findFactors(tx.em, userName);
      const found = factors.find(({ id, name }) => id === factor || name === factor);
      if (found === undefined)
        throw new MezError("FACTOR_NOT_FOUND", `you have no factor "${printable(factor)}"; msh mfa ls shows yours`);
      if (factors.length === 1 && this.parts.mode() === "required")
        throw new MezError(
          "LAST_FACTOR",
          `"${found.name}" is your last factor, and this cluster asks everybody for one; add another first`,
        );
      await this.#useProof(tx, proof, userName, call);
      await this.#delete(tx, [found], factors.length === 1);
      // What was proven with the factor that is gone may have begun one of these.
      await this.parts.ceremonies.endEnrolments(tx, userName, null);
      audit(tx, "user.mfa.removed", userName, call, { factor_id: found.id, kind: found.kind, name: found.name });
    });
  }

  /** @throws {MezError} `MFA_REQUIRED`, `MFA_EXPIRED`, `FACTOR_NOT_FOUND` for a person without a factor */
  async replaceRecoveryCodes(proof: string, call: CallContext): Promise<readonly Secret[]> {
    const userName = nameOf(call);
    return this.parts.database.transaction(async (tx) => {
      if ((await findFactors(tx.em, userName)).length === 0)
        throw new MezError("FACTOR_NOT_FOUND", "recovery codes come with a second factor; add one first: msh mfa add");
      await this.#useProof(tx, proof, userName, call);
      audit(tx, "user.mfa.recovery_codes.replaced", userName, call, {});
      return replaceRecoveryCodes(tx.em, userName);
    });
  }

  /** For administrators: a link with which somebody adds a factor. @throws {MezError} `USER_NOT_FOUND`, `LIMIT_EXCEEDED` */
  async createLink(userName: string, call: CallContext): Promise<OpenedCeremony> {
    this.#requireUser(userName);
    return this.parts.database.transaction(async (tx) => {
      if ((await findFactors(tx.em, userName)).length >= MAX_FACTORS)
        throw new MezError("LIMIT_EXCEEDED", `${userName} has ${MAX_FACTORS} factors already; reset some first`);
      audit(tx, "user.mfa.link.created", userName, call, { ttl_seconds: this.parts.linkTtlSeconds });
      const ttlSeconds = this.parts.linkTtlSeconds;
      return this.parts.ceremonies.open(tx, { purpose: "enrol", userName, clientAddress: "", mayEnrol: true, ttlSeconds });
    });
  }

  /**
   * For administrators: removes factors of somebody who lost them, and whatever is under way with them.
   * @returns How many.
   * @throws {MezError} `USER_NOT_FOUND`, `FACTOR_NOT_FOUND`
   */
  async reset(userName: string, kind: "totp" | "webauthn", call: CallContext): Promise<number> {
    this.#requireUser(userName);
    return this.parts.database.transaction(async (tx) => {
      const factors = await findFactors(tx.em, userName);
      const removed = factors.filter((factor) => (factor.kind === "totp") === (kind === "totp"));
      if (removed.length === 0)
        throw new MezError(
          "FACTOR_NOT_FOUND",
          `${userName} has no ${kind === "totp" ? "authenticator app" : "passkey or security key"}`,
        );
      await this.#delete(tx, removed, removed.length === factors.length);
      await this.parts.ceremonies.endAll(tx, userName);
      audit(tx, "user.mfa.reset", userName, call, { kind, names: removed.map(({ name }) => name) });
      return removed.length;
    });
  }

  async forget(tx: Transaction, userName: string): Promise<void> {
    await deleteFactorsOf(tx.em, userName);
    await deleteRecoveryCodes(tx.em, userName);
    await this.parts.ceremonies.endAll(tx, userName);
  }

  async #delete(tx: Transaction, factors: readonly Factor[], areAll: boolean): Promise<void> {
    for (const { id } of factors) await deleteFactor(tx.em, id);
    if (areAll && factors[0] !== undefined) await deleteRecoveryCodes(tx.em, factors[0].userName);
  }

  async #useProof(tx: Transaction, proof: string, userName: string, call: CallContext): Promise<void> {
    if (proof === "") throw new MezError("MFA_REQUIRED", "prove a second factor that you have first");
    const { id } = await this.parts.ceremonies.proven(tx, proof, { purpose: "manage", userName, call });
    await deleteCeremony(tx.em, id);
  }

  #requireUser(name: string): void {
    if (this.parts.users.get(name) === undefined) throw new MezError("USER_NOT_FOUND", `there is no user "${printable(name)}"`);
  }
}

// --- internal ---

function nameOf({ caller }: CallContext): string {
  if (caller.kind !== "user") throw new MezError("ACCESS_DENIED", "this is for people who have logged in");
  return caller.name;
}

function audit(
  tx: Transaction,
  type: "user.mfa.removed" | "user.mfa.reset" | "user.mfa.link.created" | "user.mfa.recovery_codes.replaced",
  userName: string,
  call: CallContext,
  metadata: Readonly<Record<string, unknown>>,
): void {
  tx.audit({ ...authorOf(call), type, resourceType: "user", resourceName: userName, metadata });
}

function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, "?").slice(0, 64);
}
