import { MezError } from "../../core/errors/error.js";
import type { Collection, Collections } from "../../core/plugin/collection.js";
import { type Guards, guardRefusal } from "../../core/ports/guard.js";
import { formatDuration } from "../../core/time/duration.js";
import type { NodeEntry } from "../nodes/api.js";
import { type Access, guardSubjectOf, type SessionOptions } from "../roles/api.js";
import type { CertificateGate, CertifiedPerson } from "./certificate-gate.js";
import { findNode } from "./session-target.js";

export interface SessionPolicyParts {
  readonly collections: Pick<Collections, "silentSeconds">;
  readonly nodes: Collection<NodeEntry>;
  readonly access: Access;
  readonly gate: CertificateGate;
  readonly guards: Guards;
  /** This proxy's own, because a proxy can be locked like a node. */
  readonly proxyName: () => string;
  readonly clusterName: string;
  readonly staleAfterSeconds: number;
}

/** Decides about sessions from the live copies; asks nobody. */
export class SessionPolicy {
  constructor(private readonly parts: SessionPolicyParts) {}

  /** @throws {MezError} `UNAVAILABLE` when the copies are too old to let anybody in. */
  requireFresh(): void {
    const { collections, staleAfterSeconds } = this.parts;
    const silence = collections.silentSeconds();
    if (silence <= staleAfterSeconds) return;
    const since = Number.isFinite(silence) ? `for ${formatDuration(silence)}` : "since it started";
    throw new MezError("UNAVAILABLE", `the proxy has not heard from the auth service ${since} and lets no new session in`);
  }

  /**
   * The node that a person asked for.
   * @param target From `parseTarget`.
   * @throws {MezError} `ACCESS_DENIED`: the message is the same whether the node exists or not, `detail` knows;
   *   `SSH_CERTIFICATE_REFUSED`, `UNAVAILABLE`
   */
  admit(person: CertifiedPerson, target: string, clientAddress: string): NodeEntry {
    this.requireFresh();
    this.parts.gate.check(person, clientAddress);
    const node = findNode(this.parts.nodes, target, this.parts.clusterName);
    if (node === undefined) throw unreachable(person, target, "no such node");
    const decision = this.parts.access.decideReach({ ...person, node });
    if (!decision.allowed) throw unreachable(person, target, decision.detail);
    const locked = this.#locked(node.name);
    if (locked !== null) throw locked;
    return node;
  }

  /**
   * May a person who was admitted to a node log in there? Asked where the proxy stands for the node.
   * @throws {MezError} `ACCESS_DENIED`
   */
  admitLogin(person: CertifiedPerson, node: NodeEntry, login: string): SessionOptions {
    const { access, guards, nodes } = this.parts;
    const refusal = guardRefusal(guards, { ...guardSubjectOf(person), agent: node.name });
    if (refusal !== null) throw denied(refusal.message, refusal.detail);
    const { labels } = nodes.get(node.name) ?? node;
    const decision = access.decide({ ...person, node: { name: node.name, labels }, login });
    if (!decision.allowed) throw denied(decision.reason, decision.detail);
    if (!person.certificate.principals.includes(login)) {
      const shown = login.slice(0, 60).replace(/[^\x20-\x7e]/g, "?");
      throw denied(`your certificate does not name the login ${shown}; log in again to renew it`);
    }
    return decision.options;
  }

  /**
   * Why a session that was admitted to `node` may not go on; `null` when it may. A certificate that ran
   * out meanwhile does not end a session.
   */
  objection(person: CertifiedPerson, node: NodeEntry): MezError | null {
    const about = this.parts.gate.objection(person) ?? this.#locked(node.name);
    if (about !== null) return about;
    const current = this.parts.nodes.get(node.name);
    if (current === undefined || current.id !== node.id) return denied(`node ${node.name} was removed from the cluster`);
    const decision = this.parts.access.decideReach({ ...person, node: current });
    return decision.allowed ? null : denied(`${person.user} may no longer reach node ${node.name}`, decision.detail);
  }

  #locked(node: string): MezError | null {
    const { guards, proxyName } = this.parts;
    const refusal = guardRefusal(guards, { agent: node }) ?? guardRefusal(guards, { agent: proxyName() });
    return refusal === null ? null : denied(refusal.message, refusal.detail);
  }
}

// --- internal ---

function unreachable({ user }: CertifiedPerson, target: string, detail: string): MezError {
  return denied(`there is no node "${target}" that ${user} may reach`, detail);
}

function denied(message: string, detail?: string): MezError {
  return new MezError("ACCESS_DENIED", message, detail === undefined ? {} : { detail });
}
