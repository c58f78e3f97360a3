import { MezError } from "../../core/errors/error.js";
import type { ProcessRole } from "../../core/plugin/contract.js";
import type { HostIdentities, HostIdentity } from "../../core/plugin/host-identity.js";
import type { RoleIdentity } from "./role-identity.js";

/** The identities of this process, one for each of its roles. */
export class HostIdentityRegistry implements HostIdentities {
  constructor(private readonly identities: ReadonlyMap<ProcessRole, RoleIdentity>) {}

  of(role: ProcessRole): HostIdentity {
    const identity = this.get(role);
    if (!identity.isReady) throw new MezError("UNAVAILABLE", `this ${role} has not joined the cluster yet`);
    return identity;
  }

  /** Also one that has not joined yet. */
  get(role: ProcessRole): RoleIdentity {
    const identity = this.identities.get(role);
    if (identity === undefined) throw new MezError("UNAVAILABLE", `this process is no ${role}`);
    return identity;
  }

  all(): readonly RoleIdentity[] {
    return [...this.identities.values()];
  }
}
