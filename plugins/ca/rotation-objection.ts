import type { AuthorityType, RotationPhase, TrustFollower } from "./api.js";
import { certificatesOf } from "./authority.js";
import type { AuthorityKeyRow } from "./authority-repository.js";
import { AUTHORITIES } from "./authority-type.js";
import type { CertificateLedger } from "./certificate-ledger.js";
import { droppedBy } from "./rotation-phase.js";
import { type Laggard, laggards } from "./trust-followers.js";

export interface Move {
  readonly type: AuthorityType;
  readonly from: RotationPhase;
  readonly to: RotationPhase;
  readonly way: "next" | "previous";
  /** Of the authority, the one that signs first. */
  readonly keys: readonly AuthorityKeyRow[];
  readonly ledger: Pick<CertificateLedger, "valid">;
  readonly followers: readonly TrustFollower[];
}

/**
 * Why a step should wait, one line for people; `null` when nobody is left behind. A way back is open as long as both sets
 * of keys stay trusted: whoever needs it cannot wait for anybody.
 */
export function objectionTo(move: Move): string | null {
  const { type, from, to, way, keys, followers } = move;
  const dropped = droppedBy(from, to);
  const behind = laggards(type, from, certificatesOf(type, keys), followers).filter(
    ({ lacks }) => way === "next" || (dropped !== null && lacks === "certificate"),
  );
  const reasons: string[] = behind.length === 0 ? [] : [naming(behind)];
  if (dropped !== null && AUTHORITIES[type].certifies === "clients") reasons.push(...useless(move));
  return reasons.length === 0
    ? null
    : `the ${type} CA should not go from ${from} to ${to} yet: ${reasons.join("; ")}; wait, or add --force`;
}

// --- internal ---

const MAX_NAMES = 10;

function naming(behind: readonly Laggard[]): string {
  const named = behind.slice(0, MAX_NAMES).map(({ kind, name, reason }) => `${kind} ${name} ${reason}`);
  if (behind.length > MAX_NAMES) named.push(`and ${behind.length - MAX_NAMES} more`);
  return named.join(", ");
}

/** Certificates that end with the key which is dropped: never the one that signs. */
function useless({ type, keys, ledger }: Move): readonly string[] {
  const [dropped] = keys.filter(({ state }) => state === "trusted");
  if (dropped === undefined) return [];
  const { count, lastExpiresAt } = ledger.valid(type, dropped.generation);
  if (count === 0 || lastExpiresAt === null) return [];
  return [
    `${count} of its certificates are valid until ${lastExpiresAt.toISOString().slice(0, 16)}Z at the latest, and would be refused`,
  ];
}
