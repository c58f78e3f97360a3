import type { Duplex } from "node:stream";
import { isMezError, MezError, messageOf } from "../../core/errors/error.js";
import type { Collection } from "../../core/plugin/collection.js";
import type { AuthenticationAttempt, AuthenticationDecision, PublicKeyAttempt } from "../../core/ssh/authentication-attempt.js";
import { createSshServer, type SshHostKey, type SshServer } from "../../core/ssh/server.js";
import type { SshPeer } from "../../core/ssh/server-connection.js";
import type { NodeEntry } from "../nodes/api.js";
import type { ProvenSessionMfa } from "../roles/api.js";
import type { AgentlessAccess } from "./agentless-access.js";
import type { AgentlessHostKeys } from "./agentless-host-keys.js";
import { AgentlessLink } from "./agentless-link.js";
import { type AgentlessLogin, AgentlessSession, type AgentlessSessionParts } from "./agentless-session.js";
import type { CertificateGate, CertifiedPerson } from "./certificate-gate.js";
import { type Changed, concerns } from "./policy-watch.js";

export interface AgentlessDoorParts extends AgentlessSessionParts {
  readonly gate: Pick<CertificateGate, "check" | "identify">;
  readonly hostKeys: Pick<AgentlessHostKeys, "of" | "forget">;
  readonly nodes: Pick<Collection<NodeEntry>, "get">;
  readonly access: AgentlessAccess;
}

/** A person who is on the way to a node without an agent: let through to it, and not yet logged in there. */
export interface AgentlessVisit {
  readonly sessionId: string;
  readonly person: CertifiedPerson;
  /** The second factor that was proven for this session. */
  readonly factor: ProvenSessionMfa | null;
  readonly node: NodeEntry;
  readonly clientAddress: string;
  readonly clientPort: number;
}

/** The SSH servers that stand for nodes without an agent: each shows a host certificate for its node's name. */
export class AgentlessDoor {
  readonly #servers = new Map<string, NodeDoor>();
  readonly #visits = new Map<string, { readonly visit: AgentlessVisit; readonly link: AgentlessLink }>();
  readonly #sessions = new Set<AgentlessSession>();

  constructor(private readonly parts: AgentlessDoorParts) {}

  /**
   * Begins to dial the node, while the client has still to do its part.
   * @returns Serves the visit on a stream to the client; resolves when that is over.
   * @throws {MezError} what the auth service answers, `UNAVAILABLE`
   */
  async prepare(visit: AgentlessVisit, signal: AbortSignal): Promise<(stream: Duplex) => Promise<void>> {
    const link = new AgentlessLink(visit.node, this.parts.access);
    signal.addEventListener("abort", () => link.close(), { once: true });
    try {
      const server = this.#server(visit.node, await this.parts.hostKeys.of(visit.node));
      return async (stream) => {
        this.#visits.set(visit.sessionId, { visit, link });
        const closed = new Promise((resolve) => stream.once("close", resolve));
        const { sessionId, clientAddress: remoteAddress, clientPort: remotePort } = visit;
        server.serve(stream, { remoteAddress, remotePort, sessionId });
        await closed;
        this.#visits.delete(visit.sessionId);
        link.close();
      };
    } catch (error) {
      link.close();
      throw error;
    }
  }

  /** Ends what the policy no longer allows, and forgets nodes that were removed. */
  recheck(changed: Changed): void {
    for (const session of [...this.#sessions]) if (concerns(changed, session.facts.node)) session.checkAgain();
    for (const [id, { name }] of this.#servers) {
      if (this.parts.nodes.get(name)?.id === id) continue;
      this.#servers.delete(id);
      this.parts.hostKeys.forget(id);
    }
  }

  /** Ends every session. */
  close(reason: string): void {
    for (const session of [...this.#sessions]) session.end(reason);
    for (const { server } of this.#servers.values()) server.close(reason);
  }

  #server({ id, name }: NodeEntry, keys: readonly SshHostKey[]): SshServer<AgentlessLogin | null> {
    const known = this.#servers.get(id);
    if (known !== undefined) {
      known.keys = keys;
      return known.server;
    }
    const { logger } = this.parts;
    const server = createSshServer<AgentlessLogin | null>({
      hostKeys: () => made.keys,
      authenticate: (attempt, peer) => this.#authenticate(attempt, peer),
      onConnection: (connection) => {
        if (connection.identity === null) return connection.disconnect("authentication is not complete");
        void this.#serve(new AgentlessSession(connection, connection.identity, this.parts));
      },
      onRefused: (reason, peer) => logger.debug("a client was not let in", { node: name, reason, address: peer.remoteAddress }),
      onError: (error) => logger.error("SSH server failed at a client", { node: name, error: messageOf(error) }),
      keepaliveMs: 0, // the relay asks both sides
    });
    const made: NodeDoor = { name, keys, server };
    this.#servers.set(id, made);
    return made.server;
  }

  async #serve(session: AgentlessSession): Promise<void> {
    this.#sessions.add(session);
    try {
      await session.serve();
    } catch (error) {
      this.parts.logger.error("a session failed", { session: session.facts.id, error: messageOf(error) });
      session.end("the proxy made a mistake; its log says more");
    }
    this.#sessions.delete(session);
  }

  async #authenticate(attempt: AuthenticationAttempt, peer: SshPeer): Promise<AuthenticationDecision<AgentlessLogin | null>> {
    const open = this.#visits.get(peer.sessionId ?? "");
    if (open === undefined || attempt.method !== "publickey" || attempt.certificate === null) return { reject: null };
    const { visit, link } = open;
    try {
      return { accept: this.#enter(attempt, visit, link) };
    } catch (error) {
      const { person, clientAddress, node, sessionId } = visit;
      if (isMezError(error)) this.parts.denials.session(person, clientAddress, node.name, node, error, sessionId);
      throw error;
    }
  }

  /** @returns `null` as long as nothing is proven. */
  #enter(
    { certificate, user: login, isProven }: PublicKeyAttempt,
    visit: AgentlessVisit,
    link: AgentlessLink,
  ): AgentlessLogin | null {
    const { gate, policy } = this.parts;
    const { person: known, factor, node, clientAddress, sessionId } = visit;
    if (certificate === null) return null;
    // The holder of this certificate has proven itself on the way here, so the login may begin before it does so again.
    const isKnown = certificate.blob.equals(known.certificate.blob);
    if (!isProven && !isKnown) return null;
    const person = isKnown ? known : gate.identify(certificate, certificate.keyId, clientAddress);
    if (person.user !== known.user || person.instance !== known.instance || person.device !== known.device)
      throw new MezError(
        "ACCESS_DENIED",
        `you came as ${known.user}; log in to ${node.name} as the same person, at the same device`,
      );
    gate.check(person, clientAddress);
    const options = policy.admitLogin(person, node, login, factor);
    link.logIn({ login, sessionId, clientAddress, secondFactor: factor ?? "", userCertificate: certificate.blob });
    return isProven ? { person, factor, node, login, options, link, sessionId } : null;
  }
}

// --- internal ---

interface NodeDoor {
  readonly name: string;
  keys: readonly SshHostKey[];
  readonly server: SshServer<AgentlessLogin | null>;
}
