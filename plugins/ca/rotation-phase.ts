import type { AuthorityType, RotationPhase } from "./api.js";
import { AUTHORITIES } from "./authority-type.js";

/** The two sets of keys in a rotation. Outside of one there is only `old`, after its end only `new`. */
export type KeyAge = "old" | "new";

/** What holds in a phase. */
export interface PhaseRules {
  /** Which key signs certificates of clients, and which those of hosts. An authority signs one kind only. */
  readonly signs: { readonly clients: KeyAge; readonly hosts: KeyAge };
  readonly trusted: readonly KeyAge[];
  /** Where `advance` goes; `null` when there is nowhere to go. */
  readonly next: RotationPhase | null;
  /** Where `rollback` goes. */
  readonly previous: RotationPhase | null;
}

/**
 * A rotation as a whole. For the kind that an authority does not sign a phase is idle and walked all the same: it is the
 * time in which the trust bundles spread.
 */
export const ROTATION_PHASES: Readonly<Record<RotationPhase, PhaseRules>> = {
  none: { signs: { clients: "old", hosts: "old" }, trusted: ["old"], next: null, previous: null },
  init: { signs: { clients: "old", hosts: "old" }, trusted: ["old", "new"], next: "update-clients", previous: "none" },
  "update-clients": {
    signs: { clients: "new", hosts: "old" },
    trusted: ["old", "new"],
    next: "update-servers",
    previous: "init",
  },
  "update-servers": {
    signs: { clients: "new", hosts: "new" },
    trusted: ["old", "new"],
    next: "standby",
    previous: "update-clients",
  },
  standby: { signs: { clients: "new", hosts: "new" }, trusted: ["old", "new"], next: "complete", previous: "update-servers" },
  complete: { signs: { clients: "new", hosts: "new" }, trusted: ["new"], next: null, previous: null },
};

/** Which key of the authority signs in a phase. */
export function signerIn(phase: RotationPhase, type: AuthorityType): KeyAge {
  return ROTATION_PHASES[phase].signs[AUTHORITIES[type].certifies];
}

/** Whether the authority has two sets of keys in a phase. */
export function isUnderWay(phase: RotationPhase): boolean {
  return ROTATION_PHASES[phase].trusted.length > 1;
}

/** The keys that stop being trusted with a step; `null` when it drops none. */
export function droppedBy(from: RotationPhase, to: RotationPhase): KeyAge | null {
  return ROTATION_PHASES[from].trusted.find((age) => !ROTATION_PHASES[to].trusted.includes(age)) ?? null;
}
