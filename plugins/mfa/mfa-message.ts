import { type Ceremony as CeremonyMessage, FactorKind, type Factor as FactorMessage } from "../../proto/gen/mezite/mfa/v1/mfa.js";
import type { ProvenKind } from "./api.js";
import type { Ceremony, OpenedCeremony } from "./ceremony.js";
import { type Factor, isEnough } from "./factor.js";

/** What a program gets of a ceremony that begins. */
export function toMessage(
  { ceremony, holder, link }: OpenedCeremony,
  { factors, webAddress }: { readonly factors: readonly Factor[]; readonly webAddress: string | null },
): CeremonyMessage {
  const kinds = kindsFor(ceremony, factors);
  const hasPage = ceremony.mayEnrol || kinds.some((kind) => kind === "webauthn" || kind === "hardware_key");
  return {
    holder: holder.expose(),
    link: webAddress !== null && hasPage ? `${webAddress}/mfa#${link.expose()}` : "",
    checkCode: ceremony.checkCode,
    expiresAt: ceremony.expiresAt,
    kinds: kinds.map(kindToMessage),
    mustEnrol: ceremony.mayEnrol,
  };
}

/** Ways in which a ceremony can be proven; none when it only adds a factor. */
export function kindsFor({ purpose, mayEnrol, minimum }: Ceremony, factors: readonly Factor[]): readonly ProvenKind[] {
  if (purpose === "enrol" || mayEnrol) return [];
  const kinds = new Set<ProvenKind>(factors.map(({ kind }) => kind).filter((kind) => minimum === "" || isEnough(kind, minimum)));
  return [...kinds, ...(minimum === "" ? (["recovery_code"] as const) : [])];
}

/** A factor as it goes over the wire, without its secret. */
export function factorToMessage({ id, kind, name, createdAt, lastUsedAt }: Factor): FactorMessage {
  return { id, kind: kindToMessage(kind), name, createdAt, lastUsedAt: lastUsedAt ?? undefined };
}

/** A kind of factor as the enumeration of the wire. */
export function kindToMessage(kind: ProvenKind): FactorKind {
  return MESSAGES[kind];
}

/** `null` for a value that is none. */
export function kindFromMessage(message: FactorKind): ProvenKind | null {
  const found = Object.entries(MESSAGES).find(([, value]) => value === message);
  return found === undefined ? null : (found[0] as ProvenKind);
}

// --- internal ---

const MESSAGES: Readonly<Record<ProvenKind, FactorKind>> = {
  totp: FactorKind.FACTOR_KIND_TOTP,
  webauthn: FactorKind.FACTOR_KIND_WEBAUTHN,
  hardware_key: FactorKind.FACTOR_KIND_HARDWARE_KEY,
  recovery_code: FactorKind.FACTOR_KIND_RECOVERY_CODE,
};
