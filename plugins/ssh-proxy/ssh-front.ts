import { messageOf } from "../../core/errors/error.js";
import type { HostIdentity } from "../../core/plugin/host-identity.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { DirectTcpipRequest } from "../../core/ssh/client-requests.js";
import { parsePrivateKey } from "../../core/ssh/private-key.js";
import { createSshServer, type SshHostKey, type SshServer } from "../../core/ssh/server.js";
import type { SshServerConnection } from "../../core/ssh/server-connection.js";
import type { CertificateGate } from "./certificate-gate.js";
import { type ClientIdentity, type ClientLogin, plainAddress } from "./client-login.js";
import type { Changed } from "./policy-watch.js";
import type { ClientEnd } from "./proxy-session.js";
import type { SessionAdmission, Visitor } from "./session-admission.js";
import { refuseSession } from "./shell-refusal.js";

export interface SshFrontParts {
  readonly identity: HostIdentity;
  readonly login: ClientLogin;
  readonly admission: SessionAdmission;
  readonly gate: Pick<CertificateGate, "objection">;
  readonly logger: Logger;
  /** `host` or `host:port` that people are told. */
  readonly publicAddress: () => string;
}

/** A client that is logged in. */
interface Client extends Visitor {
  readonly connection: SshServerConnection<ClientIdentity | null>;
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
    const { identity, login, logger } = parts;
    this.#hostKeys = hostKeysOf(identity);
    this.#stopFollowing = identity.onChange(() => {
      this.#hostKeys = hostKeysOf(identity);
    });
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

  /** Ends the connections of those who may not stay; what a node has to do with is the admission's affair. */
  recheck(changed: Changed): void {
    if (changed !== "all") return; // nobody's own standing depends on a node
    for (const { person, connection } of [...this.#clients]) {
      const objection = this.parts.gate.objection(person);
      if (objection !== null) connection.disconnect(objection.message);
    }
  }

  /** Ends every connection; after the sessions. */
  close(reason: string): void {
    this.#stopFollowing();
    this.server.close(reason);
  }

  #receive(connection: SshServerConnection<ClientIdentity | null>): void {
    const { identity, peer } = connection;
    if (identity === null) return connection.disconnect("authentication is not complete");
    const client: Client = {
      ...identity,
      connection,
      address: plainAddress(peer.remoteAddress),
      port: peer.remotePort,
      sessions: new Set(),
      farewellMs: 0,
      refusals: 0,
      onEnd: (reason) => {
        const isLast = [...client.sessions].every(({ signal }) => signal.aborted);
        if (isLast) connection.disconnect(reason);
      },
    };
    this.#clients.add(client);
    connection.handle({
      session: (session) =>
        refuseSession(
          session,
          `this is the mezite proxy; ssh to a node through it: ssh -J ${client.person.user}@${this.parts.publicAddress()} login@node`,
        ),
      directTcpip: (request) => this.#open(client, request),
    });
    void connection.closed.then(() => {
      this.#clients.delete(client);
      for (const session of [...client.sessions]) session.end("the client went away");
    });
  }

  #open(client: Client, request: DirectTcpipRequest): void {
    if (client.refusals >= MAX_REFUSALS) return request.reject(TOO_MANY_REFUSALS);
    void this.parts.admission.open(client, {
      host: request.host,
      port: request.port,
      accept: () => clientEnd(request),
      reject: (message, isDenial) => {
        request.reject(message);
        if (isDenial) client.refusals += 1;
        // Each is in the audit log, which nobody may fill by asking on and on.
        if (client.refusals >= MAX_REFUSALS) client.connection.disconnect(TOO_MANY_REFUSALS);
      },
    });
  }
}

// --- internal ---

/** Of one connection. */
const MAX_REFUSALS = 50;
const TOO_MANY_REFUSALS = "too many requests were refused";

function clientEnd(request: DirectTcpipRequest): ClientEnd | null {
  const stream = request.accept();
  return stream === null ? null : { stream, close: () => stream.close() };
}

function hostKeysOf(identity: HostIdentity): readonly SshHostKey[] {
  const { sshPrivateKey, sshCertificate } = identity.current();
  return [{ key: parsePrivateKey(sshPrivateKey.expose()), certificateBlob: sshCertificate }];
}
