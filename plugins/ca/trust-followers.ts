import { X509Certificate } from "node:crypto";
import type { AuthorityType, RotationPhase, TrustFollower, TrustFollowers } from "./api.js";
import { AUTHORITIES } from "./authority-type.js";
import { isUnderWay } from "./rotation-phase.js";

/** Somebody who has not done yet what a phase asks for. */
export interface Laggard {
  readonly kind: string;
  readonly name: string;
  readonly lacks: "word" | "bundle" | "certificate" | "hand";
  /** For people. */
  readonly reason: string;
}

/** Keeps the sources of followers, and asks them. */
export class TrustFollowerRegistry implements TrustFollowers {
  readonly #sources = new Set<() => readonly TrustFollower[]>();

  add(source: () => readonly TrustFollower[]): () => void {
    this.#sources.add(source);
    return () => void this.#sources.delete(source);
  }

  /** By kind and name. */
  all(): readonly TrustFollower[] {
    const all = [...this.#sources].flatMap((source) => source());
    return all.sort((a, b) => a.kind.localeCompare(b.kind) || a.name.localeCompare(b.name));
  }
}

/**
 * Who has not taken the trust bundle of this phase, or still shows a certificate of the key that does not sign.
 * @param certificatesPem Those that are trusted, that of the key which signs first.
 */
export function laggards(
  type: AuthorityType,
  phase: RotationPhase,
  certificatesPem: readonly string[],
  followers: readonly TrustFollower[],
): readonly Laggard[] {
  if (!isUnderWay(phase)) return [];
  const wanted = certificatesPem.map((pem) => new X509Certificate(pem).fingerprint256);
  return followers.flatMap((follower) => {
    if (follower.follows?.includes(type) === false) return [];
    const lacks =
      follower.byHand === undefined ? lackOf(type, wanted, follower) : lackByHand(phase, wanted, follower.byHand.worksUnder);
    return lacks === null ? [] : [{ kind: follower.kind, name: follower.name, lacks, reason: REASONS[lacks] }];
  });
}

// --- internal ---

const REASONS: Readonly<Record<Laggard["lacks"], string>> = {
  word: "has not been heard of",
  bundle: "has not taken the trust bundle",
  certificate: "shows a certificate of the key that does not sign now",
  hand: "has to be given the User CA by hand, and no session there has shown yet that it was",
};

function lackOf(type: AuthorityType, wanted: readonly string[], { report }: TrustFollower): Laggard["lacks"] | null {
  if (report === null) return "word";
  const taken = new Set(report.trusted[type]);
  if (!wanted.every((each) => taken.has(each))) return "bundle";
  return AUTHORITIES[type].certifies === "hosts" && report.certificateAuthority !== wanted[0] ? "certificate" : null;
}

/** Before a new key signs, nothing can show that it is trusted; after, a login does. */
function lackByHand(phase: RotationPhase, [signing]: readonly string[], worksUnder: string | null): Laggard["lacks"] | null {
  return phase !== "init" && worksUnder === signing ? null : "hand";
}
