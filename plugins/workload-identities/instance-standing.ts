import { MezError } from "../../core/errors/error.js";
import type { Collection } from "../../core/plugin/collection.js";
import { type Guards, requireNoRefusal } from "../../core/ports/guard.js";
import { MACHINE_PREFIX, type MachineInstanceEntry } from "../roles/api.js";

/** The instance of an agent identity that asks, as its certificate names it. */
export interface PresentedInstance {
  readonly name: string;
  readonly roles: readonly string[];
  readonly instance: string;
}

export interface StandingParts {
  readonly instances: Collection<MachineInstanceEntry>;
  readonly guards: Guards;
}

/**
 * Asked again after the call was let in, for locks and deletions since then.
 * @throws {MezError} `ACCESS_DENIED` when the identity is locked, `UNAUTHENTICATED` when it is deleted
 */
export function requireStanding({ instances, guards }: StandingParts, { name, roles, instance }: PresentedInstance): void {
  const machine = `${MACHINE_PREFIX}${name}`;
  // By the instance: an identity that was made again under the name has others.
  const known = instances.get(instance);
  if (known?.machine !== machine)
    throw new MezError("UNAUTHENTICATED", `this instance of ${machine} was deleted from this cluster`);
  if (known.lockReason !== "") throw new MezError("ACCESS_DENIED", `this instance of ${machine} is locked: ${known.lockReason}`);
  requireNoRefusal(guards, { agentIdentity: name, roles, instance });
}
