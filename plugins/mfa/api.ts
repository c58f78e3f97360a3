import type { EventType, ServiceToken } from "../../core/plugin/contract.js";

/** What a person proved. Recovery codes are for logins and for the person's own factors, never for a session. */
export type ProvenKind = "totp" | "webauthn" | "hardware_key" | "recovery_code";

/** A ceremony of a second factor is over, in whatever process. */
export interface CeremonyDone {
  readonly id: string;
}

export const CEREMONY_DONE: EventType<CeremonyDone> = { name: "mfa.ceremony-done", version: 1 };

/** A fresh second factor that a role demands for a session. */
export interface SessionProofRequest {
  readonly user: string;
  readonly clientAddress: string;
  /** The weakest kind that will do. */
  readonly kind: "totp" | "webauthn" | "hardware_key";
}

/** A proof under way. Times out by itself after some minutes. */
export interface SessionProof {
  /** Whether the person can type a code. */
  readonly takesCode: boolean;
  /** Address of the page for a passkey or security key; `null` when that is not possible. */
  readonly link: string | null;
  /** Four digits that the page shows as well. */
  readonly checkCode: string;
  /** @throws {MezError} `MFA_REFUSED` for a wrong code, `TOO_MANY_ATTEMPTS`, `MFA_EXPIRED` */
  answer(code: string): Promise<void>;
  /** Resolves when the page or a code did it. @throws {MezError} `MFA_EXPIRED`; the signal's reason */
  done(signal: AbortSignal): Promise<void>;
  /** Uses the proof up. @returns What was proven. @throws {MezError} `MFA_EXPIRED` */
  use(): Promise<"totp" | "webauthn" | "hardware_key">;
}

/** Asks people for a second factor, at a proxy. */
export interface SessionProofs {
  /** @throws {MezError} `MFA_REQUIRED` when the person has no factor that would do; `UNAVAILABLE` */
  begin(request: SessionProofRequest): Promise<SessionProof>;
}

export const SESSION_PROOFS: ServiceToken<SessionProofs> = { id: "session-proofs", version: 1 };
