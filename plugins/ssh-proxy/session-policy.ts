import { MezError } from "../../core/errors/error.js";
import type { Collection, Collections } from "../../core/plugin/collection.js";
import { type Guards, guardRefusal } from "../../core/ports/guard.js";
import { formatDuration } from "../../core/time/duration.js";
import type { NodeEntry } from "../nodes/api.js";
import {
  type Access,
  type ProvenSessionMfa as FactorKind,
  guardSubjectOf,
  MACHINE_PREFIX,
  type SessionMfa,
  type SessionOptions,
} from "../roles/api.js";
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

/** The second factor of a connection. It is good for one session. */
export interface FactorState {
  readonly kind: FactorKind | null;
  /** What to tell the person when one is missing; may be empty. */
  readonly missingBecause: string;
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
   * The node that a person asked for, and whether some role wants a second factor there.
   * @param target From `parseTarget`.
   * @param factor The second factor that this connection has left, and why it has none.
   * @throws {MezError} `ACCESS_DENIED`: the message is the same whether the node exists or not, `detail` knows;
   *   `SSH_CERTIFICATE_REFUSED`, `UNAVAILABLE`
   */
  admit(
    person: CertifiedPerson,
    target: string,
    clientAddress: string,
    factor: FactorState,
  ): { readonly node: NodeEntry; readonly wantsFactor: boolean } {
    this.requireFresh();
    this.parts.gate.check(person, clientAddress);
    const node = findNode(this.parts.nodes, target, this.parts.clusterName);
    if (node === undefined) throw unreachable(person, target, "no such node");
    const decision = this.parts.access.decideReach({ ...person, node, proofs: { mfa: factor.kind ?? undefined } });
    if (!decision.allowed && decision.missing === "mfa") {
      const why = factor.missingBecause === "" ? "" : `; ${factor.missingBecause}`;
      throw denied(`${decision.reason}${why}`, decision.detail);
    }
    if (!decision.allowed && decision.missing === "device") throw denied(decision.reason, decision.detail);
    if (!decision.allowed) throw unreachable(person, target, decision.detail);
    const locked = this.#locked(node.name);
    if (locked !== null) throw locked;
    return { node, wantsFactor: asksForFactor(decision.options.requireSessionMfa) };
  }

  /**
   * The strongest second factor that is demanded on any node that the person may reach now; `null` for none, and for machines.
   * A client names its node only when it is let in, which is too late to ask.
   */
  factorDemand(person: CertifiedPerson): FactorKind | null {
    const { access, nodes } = this.parts;
    if (isMachine(person)) return null;
    const { requireSessionMfa: most } = access.sessionOptions(person);
    if (!asksForFactor(most)) return null; // most people: their roles are looked at, and no node
    let strongest: FactorKind | null = null;
    for (const node of nodes.values()) {
      const decision = access.decideReach({ ...person, node, proofs: { mfa: "hardware_key" } });
      const demand = decision.allowed ? decision.options.requireSessionMfa : "";
      if (!asksForFactor(demand) || (strongest !== null && isWeaker(demand, strongest))) continue;
      strongest = demand;
      if (demand === most) break;
    }
    return strongest;
  }

  /**
   * Whether a session to this node takes a second factor that somebody could ask this person for; of clients who name their
   * node before they are let in.
   * @param target From `parseTarget`.
   */
  demandsFactor(person: CertifiedPerson, target: string): boolean {
    const node = findNode(this.parts.nodes, target, this.parts.clusterName);
    if (node === undefined || isMachine(person)) return false;
    const decision = this.parts.access.decideReach({ ...person, node, proofs: { mfa: "hardware_key" } });
    return decision.allowed && asksForFactor(decision.options.requireSessionMfa);
  }

  /**
   * May a person who was admitted to a node log in there? Asked where the proxy stands for the node.
   * @param mfa The second factor that was proven for the session.
   * @throws {MezError} `ACCESS_DENIED`
   */
  admitLogin(person: CertifiedPerson, node: NodeEntry, login: string, mfa: FactorKind | null): SessionOptions {
    const { access, guards, nodes } = this.parts;
    const refusal = guardRefusal(guards, { ...guardSubjectOf(person), agent: node.name });
    if (refusal !== null) throw denied(refusal.message, refusal.detail);
    const { labels } = nodes.get(node.name) ?? node;
    const decision = access.decide({ ...person, node: { name: node.name, labels }, login, proofs: { mfa: mfa ?? undefined } });
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
   * @param mfa The second factor that was proven for it.
   */
  objection(person: CertifiedPerson, node: NodeEntry, mfa: FactorKind | null): MezError | null {
    const about = this.parts.gate.objection(person) ?? this.#locked(node.name);
    if (about !== null) return about;
    const current = this.parts.nodes.get(node.name);
    if (current === undefined || current.id !== node.id) return denied(`node ${node.name} was removed from the cluster`);
    const decision = this.parts.access.decideReach({ ...person, node: current, proofs: { mfa: mfa ?? undefined } });
    return decision.allowed ? null : denied(`${person.user} may no longer reach node ${node.name}`, decision.detail);
  }

  #locked(node: string): MezError | null {
    const { guards, proxyName } = this.parts;
    const refusal = guardRefusal(guards, { agent: node }) ?? guardRefusal(guards, { agent: proxyName() });
    return refusal === null ? null : denied(refusal.message, refusal.detail);
  }
}

// --- internal ---

function isMachine({ instance, user }: CertifiedPerson): boolean {
  return instance !== undefined || user.startsWith(MACHINE_PREFIX);
}

function asksForFactor(demand: SessionMfa): demand is FactorKind {
  return demand !== "" && demand !== "off";
}

const WEAKEST_FIRST: readonly FactorKind[] = ["totp", "webauthn", "hardware_key"];

function isWeaker(one: FactorKind, other: FactorKind): boolean {
  return WEAKEST_FIRST.indexOf(one) < WEAKEST_FIRST.indexOf(other);
}

function unreachable({ user }: CertifiedPerson, target: string, detail: string): MezError {
  return denied(`there is no node "${target}" that ${user} may reach`, detail);
}

function denied(message: string, detail?: string): MezError {
  return new MezError("ACCESS_DENIED", message, detail === undefined ? {} : { detail });
}
