import { MezError } from "../../core/errors/error.js";
import type { Collection } from "../../core/plugin/collection.js";
import type { Database } from "../../core/plugin/database.js";
import type { CallContext } from "../../core/plugin/rpc.js";
import type { UserEntry } from "../roles/api.js";
import type { Ceremonies } from "./ceremonies.js";
import type { OpenedCeremony } from "./ceremony.js";
import { deleteCeremony } from "./ceremony-repository.js";
import { type Factor, type FactorKind, isEnough, kindInWords } from "./factor.js";
import { findFactors } from "./factor-repository.js";

export interface SessionProofServiceParts {
  readonly database: Database;
  readonly ceremonies: Ceremonies;
  readonly users: Collection<UserEntry>;
}

/** A fresh second factor for one session, on the word of a proxy that the person's key was proven. */
export class SessionProofService {
  constructor(private readonly parts: SessionProofServiceParts) {}

  /** @throws {MezError} `MFA_REQUIRED` when the person has no factor that would do; `USER_NOT_FOUND` */
  async begin(
    userName: string,
    clientAddress: string,
    minimum: FactorKind,
  ): Promise<{ readonly opened: OpenedCeremony; readonly factors: readonly Factor[] }> {
    const { database, ceremonies, users } = this.parts;
    if (users.get(userName) === undefined) throw new MezError("USER_NOT_FOUND", "there is no such user");
    return database.transaction(async (tx) => {
      const factors = await findFactors(tx.em, userName);
      if (!factors.some(({ kind }) => isEnough(kind, minimum)))
        throw new MezError("MFA_REQUIRED", `this needs ${kindInWords(minimum)}, and ${userName} has none; add one: msh mfa add`);
      return { opened: await ceremonies.open(tx, { purpose: "session", userName, clientAddress, minimum }), factors };
    });
  }

  /** Uses the proof up. @throws {MezError} `MFA_EXPIRED` */
  async use(holder: string, call: CallContext): Promise<{ readonly userName: string; readonly kind: FactorKind }> {
    return this.parts.database.transaction(async (tx) => {
      const proven = await this.parts.ceremonies.proven(tx, holder, { purpose: "session", userName: null, call });
      await deleteCeremony(tx.em, proven.id);
      return { userName: proven.userName, kind: proven.provenKind as FactorKind };
    });
  }
}
