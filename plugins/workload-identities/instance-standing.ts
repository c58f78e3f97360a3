import { MezError } from "../../core/errors/error.js";
import type { Collection } from "../../core/plugin/collection.js";
import { type Guards, requireNoRefusal } from "../../core/ports/guard.js";
import { MACHINE_PREFIX, type UserEntry } from "../roles/api.js";

/** The instance of an agent identity that asks, as its certificate names it. */
export interface PresentedInstance {
  readonly name: string;
  readonly roles: readonly string[];
  readonly instance: string;
}

export interface StandingParts {
  readonly machines: Collection<UserEntry>;
  readonly guards: Guards;
}

/**
 * Asked again after the call was let in, for locks and deletions since then.
 * @throws {MezError} `ACCESS_DENIED` when the identity is locked, `UNAUTHENTICATED` when it is deleted
 */
export function requireStanding({ machines, guards }: StandingParts, { name, roles, instance }: PresentedInstance): void {
  if (machines.get(`${MACHINE_PREFIX}${name}`) === undefined)
    throw new MezError("UNAUTHENTICATED", `${MACHINE_PREFIX}${name} was deleted from this cluster`);
  requireNoRefusal(guards, { agentIdentity: name, roles, instance });
}
