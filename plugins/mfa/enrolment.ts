import { randomUUID } from "node:crypto";
import { MezError } from "../../core/errors/error.js";
import type { AttemptLimiter } from "../../core/plugin/attempt-limiter.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import { Secret } from "../../core/plugin/secret.js";
import type { Clock } from "../../core/time/clock.js";
import type { Sealing } from "../keys/software/api.js";
import type { Ceremonies, CeremonyCall } from "./ceremonies.js";
import type { Ceremony } from "./ceremony.js";
import { updateCeremony } from "./ceremony-repository.js";
import { chooseName, type Factor, MAX_FACTORS, type StoredFactor, secretContext } from "./factor.js";
import { findFactors, hasCredential, insertFactor } from "./factor-repository.js";
import { auditAdded, auditFailed } from "./mfa-audit.js";
import { replaceRecoveryCodes } from "./recovery-code-repository.js";
import { generateTotpSecret, matchTotp, totpUri } from "./totp.js";
import { creationOptions, type RelyingParty, verifyCreation } from "./webauthn.js";

export interface EnrolmentParts {
  readonly database: Database;
  readonly clock: Clock;
  readonly ceremonies: Ceremonies;
  readonly sealing: Sealing;
  readonly limiter: AttemptLimiter;
  readonly clusterName: string;
}

export interface Enrolled {
  readonly factor: Factor;
  /** With the first factor, else empty. */
  readonly recoveryCodes: readonly Secret[];
}

/** One of a ceremony's two secrets. */
export interface CeremonyToken {
  readonly token: "holder" | "link";
  readonly secret: string;
}

/** Adds factors in ceremonies that allow it. A factor counts when it has been shown to work. */
export class Enrolment {
  constructor(private readonly parts: EnrolmentParts) {}

  /**
   * A TOTP secret that counts once `finishTotp` has seen a code of it; it takes the place of an earlier one.
   * @throws {MezError} `MFA_EXPIRED`
   */
  async beginTotp(by: CeremonyToken, call: CeremonyCall): Promise<{ readonly secret: Secret; readonly uri: string }> {
    const { database, sealing, clusterName } = this.parts;
    const secret = generateTotpSecret();
    const { id, userName } = await database.read((em) => this.#requireEnrolling(em, by, call));
    const pendingSecret = await sealing.seal(Buffer.from(secret.expose()), secretContext(id));
    await database.transaction(async (tx) => {
      await this.#requireEnrolling(tx.em, by, call);
      await updateCeremony(tx.em, id, { pendingSecret });
    });
    return { secret, uri: totpUri(secret, clusterName, userName) };
  }

  /** @throws {MezError} `MFA_REFUSED` for a wrong code; `MFA_EXPIRED`, `TOO_MANY_ATTEMPTS`, `ALREADY_EXISTS`, `LIMIT_EXCEEDED` */
  async finishTotp(by: CeremonyToken, text: string, name: string, call: CeremonyCall): Promise<Enrolled> {
    const { database, sealing, clock, limiter } = this.parts;
    const before = await database.read((em) => this.#requireEnrolling(em, by, call));
    const { pendingSecret } = before;
    if (pendingSecret === null) throw new MezError("MFA_EXPIRED", "there is no new secret to confirm; begin again");
    const secret = await sealing.open(pendingSecret, secretContext(before.id));
    const attempt = limiter.begin(before.userName, call.clientAddress);
    const code = text.replace(/\s/g, "");
    const step = /^\d{6}$/.test(code) ? matchTotp(new Secret(secret.toString()), code, clock.now()) : null;
    const id = randomUUID();
    const sealedSecret = await sealing.seal(secret, secretContext(id));
    const enrolled = await database.transaction(async (tx): Promise<Enrolled | null> => {
      const ceremony = await this.#requireEnrolling(tx.em, by, call);
      if (ceremony.pendingSecret !== pendingSecret)
        throw new MezError("MFA_EXPIRED", "another secret was made meanwhile; begin again");
      if (step !== null) return this.#add(tx, ceremony, name, { id, kind: "totp", sealedSecret, lastStep: step });
      await this.parts.ceremonies.fail(tx, ceremony);
      auditFailed(tx, ceremony, "the first code is wrong");
      return null;
    });
    if (enrolled === null)
      throw new MezError(
        "MFA_REFUSED",
        "the code is wrong; is the clock of your phone right? It shows a new code every 30 seconds",
      );
    attempt.succeeded();
    return enrolled;
  }

  /** Options for `navigator.credentials.create`, JSON. @throws {MezError} `MFA_EXPIRED` */
  async beginWebAuthn(by: CeremonyToken, party: RelyingParty, call: CeremonyCall): Promise<string> {
    const { database } = this.parts;
    const { ceremony, factors } = await database.read(async (em) => {
      const enrolling = await this.#requireEnrolling(em, by, call);
      return { ceremony: enrolling, factors: await findFactors(em, enrolling.userName) };
    });
    const existing = factors.filter((factor) => factor.kind !== "totp");
    const options = await creationOptions(party, ceremony.userName, existing);
    await database.transaction(async (tx) => {
      const { id } = await this.#requireEnrolling(tx.em, by, call);
      await updateCeremony(tx.em, id, { challenge: options.challenge });
    });
    return JSON.stringify(options);
  }

  /** @throws {MezError} `MFA_REFUSED`, `MFA_EXPIRED`, `ALREADY_EXISTS`, `LIMIT_EXCEEDED` */
  async finishWebAuthn(
    by: CeremonyToken,
    answer: { readonly json: string; readonly name: string },
    party: RelyingParty,
    call: CeremonyCall,
  ): Promise<Enrolled> {
    const { challenge } = await this.parts.database.read((em) => this.#requireEnrolling(em, by, call));
    if (challenge === null) throw new MezError("MFA_EXPIRED", "this page is out of date; reload it");
    const credential = await verifyCreation(answer.json, party, challenge);
    return this.parts.database.transaction(async (tx) => {
      const ceremony = await this.#requireEnrolling(tx.em, by, call);
      if (ceremony.challenge !== challenge) throw new MezError("MFA_EXPIRED", "this page is out of date; reload it");
      return this.#add(tx, ceremony, answer.name, { id: randomUUID(), ...credential });
    });
  }

  async #requireEnrolling(em: Transaction["em"], { token, secret }: CeremonyToken, call: CeremonyCall): Promise<Ceremony> {
    const ceremony = await this.parts.ceremonies.requireOpen(em, token, secret, call);
    if (!ceremony.mayEnrol) throw new MezError("ACCESS_DENIED", "no factor can be added here");
    return ceremony;
  }

  /** @param wanted Name that was given last; empty for the ceremony's. */
  async #add(
    tx: Transaction,
    ceremony: Ceremony,
    wanted: string,
    made: DistributiveOmit<StoredFactor, "userName" | "name" | "createdAt" | "lastUsedAt">,
  ): Promise<Enrolled> {
    const { userName } = ceremony;
    const others = await findFactors(tx.em, userName);
    if (others.length >= MAX_FACTORS)
      throw new MezError("LIMIT_EXCEEDED", `${userName} has ${MAX_FACTORS} factors already; remove one first`);
    // A login may add the first factor only: whoever has one proves that.
    if (ceremony.purpose === "login" && others.length > 0)
      throw new MezError("MFA_EXPIRED", "a second factor was added meanwhile; log in again");
    if ("credentialId" in made && (await hasCredential(tx.em, made.credentialId)))
      throw new MezError("ALREADY_EXISTS", "this passkey or security key is enrolled already");
    const name = chooseName(
      wanted === "" ? ceremony.factorName : wanted,
      made.kind,
      others.map((factor) => factor.name),
    );
    const factor: StoredFactor = { ...made, userName, name, createdAt: this.parts.clock.now(), lastUsedAt: null };
    await insertFactor(tx.em, factor);
    // Others that began when there was no factor to prove could add one without a proof.
    if (others.length === 0) await this.parts.ceremonies.endEnrolments(tx, userName, ceremony.id);
    const recoveryCodes = others.length === 0 ? await replaceRecoveryCodes(tx.em, userName) : [];
    await this.parts.ceremonies.finish(tx, ceremony, factor.kind, factor.id);
    auditAdded(tx, ceremony, factor);
    return { factor, recoveryCodes };
  }
}

// --- internal ---

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
