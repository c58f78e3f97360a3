import { isMezError, messageOf } from "../../core/errors/error.js";
import type { HostIdentity } from "../../core/plugin/host-identity.js";
import type { LiveSessions } from "../../core/plugin/live-sessions.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { Leases } from "../../core/plugin/process.js";
import type { DirectTcpipRequest } from "../../core/ssh/client-requests.js";
import { parsePrivateKey } from "../../core/ssh/private-key.js";
import { createSshServer, type SshHostKey, type SshServer } from "../../core/ssh/server.js";
import type { SshServerConnection } from "../../core/ssh/server-connection.js";
import type { SessionEncryption } from "../../core/tunnel/tunnel-protocol.js";
import type { NodeEntry } from "../nodes/api.js";
import type { AgentlessDoor } from "./agentless-door.js";
import type { CertifiedPerson } from "./certificate-gate.js";
import { type ClientIdentity, ClientLogin, type ClientLoginParts, type ConnectionFactor, plainAddress } from "./client-login.js";
import { type Changed, concerns } from "./policy-watch.js";
import type { ProxyPeers } from "./proxy-peers.js";
import { ProxySession } from "./proxy-session.js";
import { parseTarget } from "./session-target.js";
import { refuseSession } from "./shell-refusal.js";

export interface SshFrontParts extends ClientLoginParts {
  readonly identity: HostIdentity;
  /** Opens streams to nodes, wherever they are connected. */
  readonly directory: Pick<ProxyPeers, "open">;
  /** Stands for the nodes that have no agent. */
  readonly agentless: Pick<AgentlessDoor, "prepare" | "recheck" | "close">;
  /** What keeps a session's bytes secret on their way to the node. */
  readonly sessionEncryption: SessionEncryption;
  readonly liveSessions: LiveSessions;
  readonly leases: Leases;
  readonly logger: Logger;
  /** `host` or `host:port` that people are told. */
  readonly publicAddress: () => string;
}

/** A client that is logged in, and its channels to nodes. */
interface Client {
  readonly person: CertifiedPerson;
  readonly factor: ConnectionFactor;
  readonly connection: SshServerConnection<ClientIdentity | null>;
  readonly address: string;
  readonly port: number;
  readonly sessions: Set<ProxySession>;
  /** How often it asked for what it may not have. */
  refusals: number;
}

/** The SSH server that people jump through. */
export class SshFront {
  readonly server: SshServer<ClientIdentity | null>;
  readonly #clients = new Set<Client>();
  readonly #stopFollowing: () => void;
  #hostKeys: readonly SshHostKey[];

  constructor(private readonly parts: SshFrontParts) {
    const { identity, logger } = parts;
    this.#hostKeys = hostKeysOf(identity);
    this.#stopFollowing = identity.onChange(() => {
      this.#hostKeys = hostKeysOf(identity);
    });
    const login = new ClientLogin(parts);
    this.server = createSshServer<ClientIdentity | null>({
      hostKeys: () => this.#hostKeys,
      authenticate: (attempt, peer) => login.authenticate(attempt, peer),
      methods: ["publickey", "keyboard-interactive"],
      offeredMethods: ["publickey"],
      onConnection: (connection) => this.#receive(connection),
      onRefused: (reason, peer) => logger.debug("SSH client refused", { reason, address: peer.remoteAddress }),
      onError: (error) => logger.error("SSH server failed on a client", { error: messageOf(error) }),
    });
  }

  /** Ends what the policy no longer allows. */
  recheck(changed: Changed): void {
    const { gate, policy } = this.parts;
    for (const client of [...this.#clients]) {
      for (const session of [...client.sessions]) {
        if (!concerns(changed, session.node)) continue;
        const objection = policy.objection(session.person, session.target, session.factor);
        if (objection !== null) session.end(objection.message);
      }
      // Nobody's own standing depends on a node.
      const objection = changed === "all" ? gate.objection(client.person) : null;
      if (objection !== null) client.connection.disconnect(objection.message);
    }
    this.parts.agentless.recheck(changed);
  }

  /** Ends every connection. */
  close(reason: string): void {
    this.#stopFollowing();
    this.parts.agentless.close(reason);
    for (const client of this.#clients) for (const session of [...client.sessions]) session.end(reason);
    this.server.close(reason);
  }

  #receive(connection: SshServerConnection<ClientIdentity | null>): void {
    const { identity, peer } = connection;
    if (identity === null) return connection.disconnect("authentication is not complete");
    const { person, factor } = identity;
    const client: Client = {
      person,
      factor,
      connection,
      address: plainAddress(peer.remoteAddress),
      port: peer.remotePort,
      sessions: new Set(),
      refusals: 0,
    };
    this.#clients.add(client);
    connection.handle({
      session: (session) =>
        refuseSession(
          session,
          `this is the mezite proxy; ssh to a node through it: ssh -J ${person.user}@${this.parts.publicAddress()} login@node`,
        ),
      directTcpip: (request) => void this.#open(client, request),
    });
    void connection.closed.then(() => {
      this.#clients.delete(client);
      for (const session of [...client.sessions]) session.end("the client went away");
    });
  }

  async #open(client: Client, request: DirectTcpipRequest): Promise<void> {
    const { policy, denials, directory, sessionEncryption, logger } = this.parts;
    const { person, address } = client;
    const refuse = (error: unknown, session?: ProxySession): void => {
      if (!isMezError(error)) logger.error("a session could not be opened", { user: person.user, error: messageOf(error) });
      else if (session?.signal.aborted !== true && (error.kind === "denied" || error.code === "INVALID_ARGUMENT")) {
        denials.session(person, address, request.host.slice(0, 253), session?.target ?? null, error, session?.id);
        client.refusals += 1;
      } else logger.info("session refused", { user: person.user, host: request.host.slice(0, 253), reason: error.message });
      request.reject(isMezError(error) ? error.message : "the proxy failed; its log says why");
      // Each is in the audit log, which nobody may fill by asking on and on.
      if (client.refusals >= MAX_REFUSALS) client.connection.disconnect(TOO_MANY_REFUSALS);
    };
    if (client.refusals >= MAX_REFUSALS) return request.reject(TOO_MANY_REFUSALS);
    let session: ProxySession;
    try {
      const target = parseTarget(request.host, request.port);
      const { node, wantsFactor } = policy.admit(person, target, address, client.factor.state);
      session = this.#register(client, node, wantsFactor ? client.factor.take() : null);
    } catch (error) {
      return refuse(error);
    }
    const finish = this.#began(client, session);
    try {
      // Registered first, checked second: whatever arrives in between finds this session.
      const objection = policy.objection(person, session.target, session.factor);
      if (objection !== null) throw objection;
      if (session.target.openSsh !== undefined) return await this.#visit(client, session, request);
      const { id: sessionId, node: nodeName, signal, factor: kind } = session;
      const factor = kind === null ? {} : { factor: { kind, user: person.user } };
      const info = { nodeName, sessionId, clientAddress: address, clientPort: client.port, ...factor };
      const stream = await directory.open(info, signal, sessionEncryption);
      const channel = signal.aborted ? null : request.accept();
      if (channel !== null) return await session.carry(channel, stream);
      stream.destroy();
      signal.throwIfAborted();
    } catch (error) {
      refuse(error, session);
    } finally {
      finish();
    }
  }

  /** The proxy itself stands for a node without an agent. */
  async #visit(client: Client, session: ProxySession, request: DirectTcpipRequest): Promise<void> {
    const { person, address: clientAddress, port: clientPort } = client;
    const { id: sessionId, target: node, factor, signal } = session;
    const serve = await this.parts.agentless.prepare({ sessionId, person, factor, node, clientAddress, clientPort }, signal);
    signal.throwIfAborted();
    const channel = request.accept();
    if (channel === null) return session.end("the client went away");
    await session.lend(channel, serve);
  }

  #register({ person, address, sessions, connection }: Client, target: NodeEntry, factor: ProxySession["factor"]): ProxySession {
    return new ProxySession({
      ...{ person, target, factor },
      clientAddress: address,
      startedAt: this.parts.clock.now(),
      onEnd: (reason) => {
        const isLast = [...sessions].every((other) => other.signal.aborted);
        if (isLast) connection.disconnect(reason);
      },
    });
  }

  #began(client: Client, session: ProxySession): () => void {
    const lease = this.parts.leases.take();
    const remove = this.parts.liveSessions.add(session);
    client.sessions.add(session);
    return () => {
      client.sessions.delete(session);
      remove();
      lease.return();
    };
  }
}

// --- internal ---

/** Of one connection. */
const MAX_REFUSALS = 50;
const TOO_MANY_REFUSALS = "too many requests were refused";

function hostKeysOf(identity: HostIdentity): readonly SshHostKey[] {
  const { sshPrivateKey, sshCertificate } = identity.current();
  return [{ key: parsePrivateKey(sshPrivateKey.expose()), certificateBlob: sshCertificate }];
}
