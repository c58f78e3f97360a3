import { isMezError, MezError } from "../../core/errors/error.js";
import type { Database } from "../../core/plugin/database.js";
import type { Clock } from "../../core/time/clock.js";
import type { ProvenKind } from "./api.js";
import type { Ceremonies, CeremonyCall } from "./ceremonies.js";
import type { Ceremony } from "./ceremony.js";
import { updateCeremony } from "./ceremony-repository.js";
import { isEnough, type WebAuthnFactor } from "./factor.js";
import { findFactors, moveCounter } from "./factor-repository.js";
import { auditFailed, auditProven } from "./mfa-audit.js";
import { credentialIdOf, type RelyingParty, requestOptions, verifyRequest } from "./webauthn.js";

export interface WebAuthnLoginParts {
  readonly database: Database;
  readonly clock: Clock;
  readonly ceremonies: Ceremonies;
}

/** Proves a passkey or security key on the page of a link. Each challenge is answered once. */
export class WebAuthnLogin {
  constructor(private readonly parts: WebAuthnLoginParts) {}

  /** Options for `navigator.credentials.get`, JSON. @throws {MezError} `MFA_EXPIRED`, `MFA_REQUIRED` */
  async begin(link: string, party: RelyingParty, call: CeremonyCall): Promise<string> {
    const { database, ceremonies } = this.parts;
    const { ceremony, credentials } = await this.#read(link, call);
    const usable = credentials.filter(({ rpId }) => rpId === party.rpId);
    if (usable.length === 0) {
      const [known] = credentials;
      throw new MezError(
        "MFA_REQUIRED",
        known === undefined
          ? `${ceremony.userName} has no passkey or security key that would do`
          : `the passkeys of ${ceremony.userName} belong to ${known.rpId}; open the page under that name`,
      );
    }
    const options = await requestOptions(party, usable);
    await database.transaction(async (tx) => {
      const { id } = await ceremonies.requireOpen(tx.em, "link", link, call);
      await updateCeremony(tx.em, id, { challenge: options.challenge });
    });
    return JSON.stringify(options);
  }

  /** @throws {MezError} `MFA_REFUSED`, `MFA_EXPIRED` */
  async finish(link: string, json: string, party: RelyingParty, call: CeremonyCall): Promise<ProvenKind> {
    const { database, ceremonies, clock } = this.parts;
    const { ceremony, credentials } = await this.#read(link, call);
    const { challenge } = ceremony;
    if (challenge === null) throw new MezError("MFA_EXPIRED", "this page is out of date; reload it");
    let factor: WebAuthnFactor;
    let counter: number;
    try {
      factor = this.#credential(json, credentials);
      counter = await verifyRequest(json, party, challenge, factor);
    } catch (error) {
      if (isMezError(error, "MFA_REFUSED")) await this.#refuse(link, error, call);
      throw error;
    }
    await database.transaction(async (tx) => {
      const current = await ceremonies.requireOpen(tx.em, "link", link, call);
      if (current.challenge !== challenge) throw new MezError("MFA_EXPIRED", "this page is out of date; reload it");
      if (!(await moveCounter(tx.em, factor.id, { from: factor.counter, to: counter }, clock.now())))
        throw new MezError("MFA_REFUSED", "the security key was used elsewhere or removed meanwhile; try again");
      await ceremonies.finish(tx, current, factor.kind, factor.id);
      auditProven(tx, current, factor.kind);
    });
    return factor.kind;
  }

  #read(
    link: string,
    call: CeremonyCall,
  ): Promise<{ readonly ceremony: Ceremony; readonly credentials: readonly WebAuthnFactor[] }> {
    return this.parts.database.read(async (em) => {
      const ceremony = await this.parts.ceremonies.requireOpen(em, "link", link, call);
      return { ceremony, credentials: credentialsFor(ceremony, await findFactors(em, ceremony.userName)) };
    });
  }

  #credential(json: string, credentials: readonly WebAuthnFactor[]): WebAuthnFactor {
    const id = credentialIdOf(json);
    const factor = credentials.find(({ credentialId }) => credentialId === id);
    if (factor === undefined) throw new MezError("MFA_REFUSED", "this passkey or security key is not one that would do here");
    return factor;
  }

  async #refuse(link: string, { message, fields, detail }: MezError, call: CeremonyCall): Promise<void> {
    await this.parts.database.transaction(async (tx) => {
      const current = await this.parts.ceremonies.requireOpen(tx.em, "link", link, call);
      await this.parts.ceremonies.fail(tx, current);
      auditFailed(tx, current, message, { ...fields, ...(detail === undefined ? {} : { detail }) });
    });
  }
}

// --- internal ---

function credentialsFor({ minimum }: Ceremony, factors: Awaited<ReturnType<typeof findFactors>>): readonly WebAuthnFactor[] {
  return factors.filter(
    (factor): factor is WebAuthnFactor => factor.kind !== "totp" && (minimum === "" || isEnough(factor.kind, minimum)),
  );
}
