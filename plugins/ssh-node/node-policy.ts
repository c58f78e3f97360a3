import type { Collection, Collections } from "../../core/plugin/collection.js";
import type { HostIdentity } from "../../core/plugin/host-identity.js";
import { type ChangingGuards, guardRefusal, onGuardChange } from "../../core/ports/guard.js";
import type { CertificateClaims } from "../../core/ssh/certificate-claims.js";
import type { SshPeer } from "../../core/ssh/server-connection.js";
import { formatDuration } from "../../core/time/duration.js";
import { CA_KEYS, type TrustBundle } from "../ca/api.js";
import { NODES, type NodeEntry } from "../nodes/api.js";
import {
  type Access,
  type AccessDecision,
  GRANTS_COLLECTION,
  guardSubjectOf,
  MACHINE_INSTANCES_COLLECTION,
  MACHINES_COLLECTION,
  ROLES_COLLECTION,
  USERS_COLLECTION,
} from "../roles/api.js";

export interface NodePolicyParts {
  readonly collections: Collections;
  readonly identity: HostIdentity;
  readonly access: Access;
  readonly guards: ChangingGuards;
  readonly staleSeconds: number;
}

/** What this node knows of the cluster's policy, from its live copies. */
export class NodePolicy {
  readonly #caKeys: Collection<TrustBundle>;
  readonly #nodes: Collection<NodeEntry>;
  #bundle: TrustBundle | null = null;
  #authorities: readonly Buffer[] = [];

  constructor(private readonly parts: NodePolicyParts) {
    this.#caKeys = parts.collections.of(CA_KEYS);
    this.#nodes = parts.collections.of(NODES);
  }

  /** Why no new session may begin now, one line for the person; `null` when it may. */
  get closedBecause(): string | null {
    const silentSeconds = this.parts.collections.silentSeconds();
    if (silentSeconds > this.parts.staleSeconds) {
      return `this node has not heard from the auth service for ${formatDuration(silentSeconds)}, so it lets nobody in; try again when it is back`;
    }
    if (this.authorities.length === 0) return "this node has not received the cluster's policy yet; try again in a moment";
    return null;
  }

  /** Public keys of the User CA, wire form. */
  get authorities(): readonly Buffer[] {
    const bundle = this.#caKeys.get("user") ?? null;
    if (bundle !== this.#bundle) {
      this.#authorities = (bundle?.sshPublicKeys ?? []).map((key) => Buffer.from(key, "base64"));
      this.#bundle = bundle;
    }
    return this.#authorities;
  }

  /** This node's labels; none when it is not registered. */
  get labels(): Readonly<Record<string, string>> {
    return this.#nodes.get(this.parts.identity.current().name)?.labels ?? {};
  }

  /**
   * May this person log in here as `login`?
   * @param factor What the proxy says was proven for this session; it counts for the person whose it is only.
   */
  decide({ user, since, roles, machine, device }: CertificateClaims, login: string, factor: SshPeer["factor"]): AccessDecision {
    const { name, id } = this.parts.identity.current();
    const node = this.#nodes.get(name);
    if (node === undefined || node.id !== id) {
      return { allowed: false, reason: `node ${name} is not registered in the cluster`, detail: `no record of agent ${id}` };
    }
    const at = device === null ? {} : { device };
    const subject = {
      user,
      since: since ?? undefined,
      roles,
      ...(machine === null ? {} : { instance: machine.instance }),
      ...at,
    };
    const refusal = guardRefusal(this.parts.guards, { ...guardSubjectOf(subject), agent: name });
    if (refusal !== null) return { allowed: false, reason: refusal.message, detail: refusal.detail };
    const proofs = factor?.user === user ? { mfa: factor.kind } : {};
    return this.parts.access.decide({ ...subject, node: { name, labels: node.labels }, login, proofs });
  }

  /** Tells whether a machine shows a certificate in whose place a newer one is in use. */
  isSuperseded({ machine }: CertificateClaims): boolean {
    return machine !== null && this.parts.access.isSuperseded(machine.instance, machine.generation);
  }

  /** Calls `listener` after each change that may take access away. Returns the way to stop. */
  onChange(listener: () => void): () => void {
    const { collections, guards } = this.parts;
    const stops = [
      collections.of(ROLES_COLLECTION).onChange(listener),
      collections.of(USERS_COLLECTION).onChange(listener),
      collections.of(GRANTS_COLLECTION).onChange(listener),
      collections.of(MACHINES_COLLECTION).onChange(listener),
      collections.of(MACHINE_INSTANCES_COLLECTION).onChange(listener),
      this.#nodes.onChange(listener),
      onGuardChange(guards, listener),
    ];
    return () => stops.forEach((stop) => void stop());
  }
}
