import type { Lifecycle } from "../../core/plugin/contract.js";
import type { Roles } from "../roles/api.js";
import type { IdentityService } from "./identity-service.js";

/** Keeps roles that an identity holds from being deleted. */
export class RoleHold implements Lifecycle {
  #stop: (() => void) | null = null;

  constructor(
    private readonly roles: Roles,
    private readonly identities: Pick<IdentityService, "holdersOf">,
  ) {}

  async start(): Promise<void> {
    this.#stop = this.roles.guardDeletion((tx, role) => this.identities.holdersOf(tx, role));
  }

  async dispose(): Promise<void> {
    this.#stop?.();
  }
}
