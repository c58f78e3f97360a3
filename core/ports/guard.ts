import { MezError } from "../errors/error.js";
import type { LatePortView, Port, PortView } from "../plugin/contract.js";

/** Who or what wants to begin something; what is not known is left out. */
export interface GuardSubject {
  readonly user?: string;
  /** As a certificate names them. A guard adds those that the user has now. */
  readonly roles?: readonly string[];
  /** Name of a node or proxy that acts, or that a session leads to. */
  readonly agent?: string;
  readonly agentIdentity?: string;
  /** Id of one instance of an agent identity. */
  readonly instance?: string;
  /** Id of the device that a person works at. */
  readonly device?: string;
}

export interface GuardRefusal {
  /** One line for the person. */
  readonly message: string;
  /** For the audit log and the log: which rule, by its id. */
  readonly detail: string;
}

/** May refuse people, agents and devices anywhere: logins, calls, certificates, tunnels, sessions. */
export interface Guard {
  /** Why the subject may begin nothing now; `null` when this guard has no objection. Answers from memory. */
  refusal(subject: GuardSubject): GuardRefusal | null;
  /** Calls `listener` after each change that may refuse somebody who was let in before. Returns the way to stop. */
  onChange(listener: () => void): () => void;
}

export const GUARD: Port<Guard> = { id: "guard", version: 1, cardinality: "zero-or-more" };

/** What is asked of all guards together. */
export type Guards = Pick<PortView<Guard>, "all">;

/** Guards that may come and go while they are followed. */
export type ChangingGuards = Guards & Pick<LatePortView<Guard>, "onChange">;

/** The first objection of any guard. */
export function guardRefusal(guards: Guards, subject: GuardSubject): GuardRefusal | null {
  for (const guard of guards.all()) {
    const refusal = guard.refusal(subject);
    if (refusal !== null) return refusal;
  }
  return null;
}

/** @throws {MezError} `ACCESS_DENIED` with the first objection of any guard. */
export function requireNoRefusal(guards: Guards, subject: GuardSubject): void {
  const refusal = guardRefusal(guards, subject);
  if (refusal !== null) throw new MezError("ACCESS_DENIED", refusal.message, { detail: refusal.detail });
}

/** Follows the changes of all guards, also of those that come later; one that comes or goes is a change. Returns the way to stop. */
export function onGuardChange(guards: ChangingGuards, listener: () => void): () => void {
  const follow = (): readonly (() => void)[] => guards.all().map((guard) => guard.onChange(listener));
  let stops = follow();
  const halt = (): void => stops.forEach((stop) => void stop());
  const unfollow = guards.onChange(() => {
    halt();
    stops = follow();
    listener();
  });
  return () => {
    unfollow();
    halt();
  };
}
