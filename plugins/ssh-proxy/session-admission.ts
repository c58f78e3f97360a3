import { isMezError, messageOf } from "../../core/errors/error.js";
import type { LiveSessions } from "../../core/plugin/live-sessions.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { Leases } from "../../core/plugin/process.js";
import type { Clock } from "../../core/time/clock.js";
import type { SessionEncryption } from "../../core/tunnel/tunnel-protocol.js";
import type { NodeEntry } from "../nodes/api.js";
import type { AgentlessDoor } from "./agentless-door.js";
import type { CertifiedPerson } from "./certificate-gate.js";
import type { ConnectionFactor } from "./client-login.js";
import type { DenialLog } from "./denial-log.js";
import { type Changed, concerns } from "./policy-watch.js";
import type { ProxyPeers } from "./proxy-peers.js";
import { type ClientEnd, ProxySession } from "./proxy-session.js";
import type { SessionPolicy } from "./session-policy.js";
import { parseTarget } from "./session-target.js";

export interface SessionAdmissionParts {
  readonly policy: SessionPolicy;
  readonly denials: DenialLog;
  /** Opens streams to nodes, wherever they are connected. */
  readonly directory: Pick<ProxyPeers, "open" | "tellEnd">;
  /** Stands for the nodes that have no agent. */
  readonly agentless: Pick<AgentlessDoor, "prepare" | "recheck" | "close">;
  /** What keeps a session's bytes secret on their way to the node. */
  readonly sessionEncryption: SessionEncryption;
  readonly liveSessions: LiveSessions;
  readonly leases: Leases;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A client that is logged in, and its sessions. */
export interface Visitor {
  readonly person: CertifiedPerson;
  readonly factor: ConnectionFactor;
  readonly address: string;
  readonly port: number;
  readonly sessions: Set<ProxySession>;
  /** See `ProxySession`. */
  readonly farewellMs: number;
  /** Called when one of its sessions is cut. */
  onEnd(reason: string): void;
}

/** A client's wish for a session; answered once. */
export interface SessionRequest {
  readonly host: string;
  readonly port: number;
  /** @returns What the client's bytes come from; `null` when it is gone. */
  accept(): ClientEnd | null | Promise<ClientEnd | null>;
  /**
   * @param message One line for the person.
   * @param isDenial Whether it is in the audit log now.
   */
  reject(message: string, isDenial: boolean): void;
  /** Sends a client that cannot be asked here to where it can, when the node demands a second factor; left out where it could. */
  askElsewhere?(): void;
}

/** Lets sessions begin, whichever way their clients come, and ends them when the policy no longer allows them. */
export class SessionAdmission {
  readonly #sessions = new Set<ProxySession>();

  constructor(private readonly parts: SessionAdmissionParts) {}

  /** Carries a session from its request to its end. Never rejects. */
  async open(visitor: Visitor, request: SessionRequest): Promise<void> {
    const { policy, directory, sessionEncryption } = this.parts;
    const { person, address, port, factor } = visitor;
    let session: ProxySession;
    try {
      const target = parseTarget(request.host, request.port);
      if (request.askElsewhere !== undefined && policy.demandsFactor(person, target)) return request.askElsewhere();
      const { node, wantsFactor } = policy.admit(person, target, address, factor.state);
      session = this.#register(visitor, node, wantsFactor ? factor.take() : null);
    } catch (error) {
      return this.#refuse(visitor, request, error);
    }
    const finish = this.#began(visitor, session);
    try {
      // Registered first, checked second: whatever arrives in between finds this session.
      const objection = policy.objection(person, session.target, session.factor);
      if (objection !== null) throw objection;
      if (session.target.openSsh !== undefined) return await this.#visit(visitor, session, request);
      const { id: sessionId, node: nodeName, signal, factor: kind } = session;
      const proven = kind === null ? {} : { factor: { kind, user: person.user } };
      const info = { nodeName, sessionId, clientAddress: address, clientPort: port, ...proven };
      const stream = await directory.open(info, signal, sessionEncryption);
      const client = signal.aborted ? null : await request.accept();
      if (client !== null && !signal.aborted) return await session.carry(client, stream);
      stream.destroy();
      signal.throwIfAborted();
    } catch (error) {
      this.#refuse(visitor, request, error, session);
    } finally {
      finish();
    }
  }

  /** Ends what the policy no longer allows. */
  recheck(changed: Changed): void {
    for (const session of [...this.#sessions]) {
      if (!concerns(changed, session.node)) continue;
      const objection = this.parts.policy.objection(session.person, session.target, session.factor);
      if (objection !== null) session.end(objection.message);
    }
    this.parts.agentless.recheck(changed);
  }

  /** Ends every session. */
  close(reason: string): void {
    this.parts.agentless.close(reason);
    for (const session of [...this.#sessions]) session.cut(reason);
  }

  /** The proxy itself stands for a node without an agent. */
  async #visit({ person, address, port }: Visitor, session: ProxySession, request: SessionRequest): Promise<void> {
    const { id: sessionId, target: node, factor, signal } = session;
    const visit = { sessionId, person, factor, node, clientAddress: address, clientPort: port };
    const serve = await this.parts.agentless.prepare(visit, signal);
    signal.throwIfAborted();
    const client = await request.accept();
    signal.throwIfAborted();
    if (client === null) return session.cut("the client went away");
    await session.lend(client, serve);
  }

  #refuse({ person, address }: Visitor, request: SessionRequest, error: unknown, session?: ProxySession): void {
    const { denials, logger } = this.parts;
    const host = request.host.slice(0, 253);
    if (!isMezError(error)) {
      logger.error("a session could not be opened", { user: person.user, error: messageOf(error) });
      return request.reject("the proxy failed; its log says why", false);
    }
    const isDenial = session?.signal.aborted !== true && (error.kind === "denied" || error.code === "INVALID_ARGUMENT");
    if (isDenial) denials.session(person, address, host, session?.target ?? null, error, session?.id);
    else logger.info("session refused", { user: person.user, host, reason: error.message });
    request.reject(error.message, isDenial);
  }

  #register({ person, address, farewellMs, onEnd }: Visitor, target: NodeEntry, factor: ProxySession["factor"]): ProxySession {
    const session: ProxySession = new ProxySession({
      ...{ person, target, factor, farewellMs, onEnd },
      tellNode: (reason) => this.parts.directory.tellEnd(target.name, { sessionId: session.id, reason }),
      clientAddress: address,
      startedAt: this.parts.clock.now(),
    });
    return session;
  }

  #began({ sessions }: Visitor, session: ProxySession): () => void {
    const lease = this.parts.leases.take();
    const remove = this.parts.liveSessions.add(session);
    sessions.add(session);
    this.#sessions.add(session);
    return () => {
      sessions.delete(session);
      this.#sessions.delete(session);
      remove();
      lease.return();
    };
  }
}
