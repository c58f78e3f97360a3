import { hash, randomBytes, randomInt, randomUUID } from "node:crypto";
import { Secret } from "../../core/plugin/secret.js";
import type { ProvenKind } from "./api.js";
import type { FactorKind } from "./factor.js";

/** What a proof is for, or that a factor is only added. */
export type CeremonyPurpose = "login" | "session" | "manage" | "enrol";

/** A person proving a factor or adding one: short-lived, used once. */
export interface Ceremony {
  /** UUID; names it inside the auth service. */
  readonly id: string;
  readonly purpose: CeremonyPurpose;
  readonly userName: string;
  /** Where the program that began it runs; empty for a link that an administrator made. */
  readonly clientAddress: string;
  readonly holderHash: string;
  readonly linkHash: string;
  /** Four digits that program and page both show. */
  readonly checkCode: string;
  /** A factor may be added here; in a login, one has to be. */
  readonly mayEnrol: boolean;
  /** The weakest kind that will do; empty takes recovery codes as well. */
  readonly minimum: FactorKind | "";
  /** Name of a new factor; empty for a usual one. */
  readonly factorName: string;
  /** `null` until it is done. */
  readonly provenKind: ProvenKind | null;
  /** The factor that was proven or added; `null` for a recovery code. */
  readonly provenFactorId: string | null;
  /** WebAuthn challenge that was handed out last, base64url. */
  readonly challenge: string | null;
  /** Sealed TOTP secret that waits for its first code. */
  readonly pendingSecret: string | null;
  readonly failures: number;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

/** A ceremony with its two secrets, which are stored nowhere. */
export interface OpenedCeremony {
  readonly ceremony: Ceremony;
  readonly holder: Secret;
  readonly link: Secret;
}

export const MAX_FAILURES = 5;

export type NewCeremony = Pick<Ceremony, "purpose" | "userName" | "clientAddress"> &
  Partial<Pick<Ceremony, "mayEnrol" | "minimum" | "factorName">> & { readonly ttlSeconds?: number };

/** Makes a ceremony that nothing has happened in yet, and the two secrets to it, of which it keeps the hashes alone. */
export function makeCeremony({ ttlSeconds, ...wanted }: NewCeremony, now: Date): OpenedCeremony {
  const [holder, link] = [generateToken(), generateToken()];
  const ceremony: Ceremony = {
    id: randomUUID(),
    holderHash: hashCeremonyToken(holder.expose()),
    linkHash: hashCeremonyToken(link.expose()),
    checkCode: String(randomInt(10_000)).padStart(4, "0"),
    mayEnrol: false,
    minimum: "",
    factorName: "",
    provenKind: null,
    provenFactorId: null,
    challenge: null,
    pendingSecret: null,
    failures: 0,
    createdAt: now,
    expiresAt: new Date(now.getTime() + (ttlSeconds ?? TTL_SECONDS[wanted.purpose]) * 1000),
    ...wanted,
  };
  return { ceremony, holder, link };
}

/** What is stored of a holder or link. */
export function hashCeremonyToken(token: string): string {
  return hash("sha256", token, "base64url");
}

// --- internal ---

const TTL_SECONDS: Readonly<Record<CeremonyPurpose, number>> = { login: 300, session: 180, manage: 300, enrol: 900 };

function generateToken(): Secret {
  return new Secret(randomBytes(32).toString("base64url"));
}
