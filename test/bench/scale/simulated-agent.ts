import type { Duplex } from "node:stream";
import { RemoteCollections } from "../../../core/events/remote-collections.js";
import { deriveJoinTokenKeys } from "../../../core/join/join-token-keys.js";
import { TokenJoinClient } from "../../../core/join/token-join-client.js";
import { CLUSTER_SETTINGS_COLLECTION } from "../../../core/plugin/cluster-settings.js";
import type { RpcConnection } from "../../../core/plugin/rpc.js";
import { grpcDialer } from "../../../core/rpc/client.js";
import { createSshServer, type SshServer } from "../../../core/ssh/server.js";
import type { SshProgram } from "../../../core/ssh/server-session.js";
import { systemClock } from "../../../core/time/clock.js";
import type { TunnelStreamInfo } from "../../../core/tunnel/stream-headers.js";
import { TunnelAgent } from "../../../core/tunnel/tunnel-agent.js";
import { CA_KEYS } from "../../../plugins/ca/api.js";
import { LOCKS_COLLECTION } from "../../../plugins/locks/api.js";
import { type AgentLink, networkLink } from "../../../plugins/nodes/agent-link.js";
import { AgentRuntime } from "../../../plugins/nodes/agent-runtime.js";
import { NetworkEnrolment } from "../../../plugins/nodes/enrolment.js";
import { HostIdentityRegistry } from "../../../plugins/nodes/host-identity-registry.js";
import { IdentityStore } from "../../../plugins/nodes/identity-store.js";
import { RoleIdentity } from "../../../plugins/nodes/role-identity.js";
import { trustReportOf } from "../../../plugins/nodes/trust-report.js";
import { HostKeyRing } from "../../../plugins/ssh-node/host-key-ring.js";
import { silentLogger } from "../../fixtures/silent-logger.js";
import { BeatCounter } from "./beat-counter.js";
import { AGENT_FACTS, agentFolder, agentName, type FleetOrder, type Followed } from "./fleet-protocol.js";

const SERVER_NAME = "localhost";

/**
 * The parts of a node's agent that the cluster sees, without the process: its own identity, a gRPC connection with a
 * watch stream and heartbeats, a tunnel, and an SSH server that knows `true` and a terminal that shows what is typed.
 */
export class SimulatedAgent {
  readonly beats = new BeatCounter();
  readonly #name: string;
  readonly #collections = new RemoteCollections(silentLogger);
  #identity: RoleIdentity | null = null;
  #server: SshServer<string> | null = null;
  #tunnel: TunnelAgent | null = null;
  #tunnels = 0;

  constructor(
    private readonly order: FleetOrder,
    index: number,
  ) {
    this.#name = agentName(index);
  }

  /** Resolves when the agent is registered, has a whole copy of what it may see, and its tunnel stands. */
  async connect(): Promise<void> {
    const { order } = this;
    const addresses = [order.authServer];
    const parts = { dialer: grpcDialer, addresses, clock: systemClock, logger: silentLogger };
    const identity = new RoleIdentity({ ...parts, role: "node", enrolment: this.#enrolment });
    this.#identity = identity;
    const caKeys = this.#collections.of(CA_KEYS);
    const registered = Promise.withResolvers<void>();
    const runtime = new AgentRuntime({
      process: {
        ...{ clusterName: "test", version: AGENT_FACTS.version, roles: new Set(["node"] as const) },
        ...{ dataDirectory: this.#folder, authAddresses: addresses, joinToken: null },
      },
      identities: new HostIdentityRegistry(new Map([["node", identity]])),
      collections: this.#collections,
      caKeys,
      link: (role) =>
        this.#counted(
          networkLink(role.connection(), () => trustReportOf(role.current(), caKeys)),
          () => registered.resolve(),
        ),
      logger: silentLogger,
      hostName: this.#name,
    });
    await runtime.start();
    await runtime.register({ name: this.#name, labels: AGENT_FACTS.labels });
    await Promise.all([registered.promise, this.#collections.ready(), this.#openTunnel(identity)]);
  }

  connection(): RpcConnection {
    if (this.#identity === null) throw new Error(`${this.#name} is not connected`);
    return this.#identity.connection();
  }

  get hasTunnel(): boolean {
    return this.#tunnel?.state === "connected";
  }

  /** How often the tunnel was opened again. */
  get tunnelsLost(): number {
    return Math.max(0, this.#tunnels - 1);
  }

  get silentSeconds(): number {
    return this.#collections.silentSeconds();
  }

  /** Calls `listener` at the next change. */
  onNextChange(what: Followed, listener: () => void): void {
    const kind = what === "locks" ? LOCKS_COLLECTION : CLUSTER_SETTINGS_COLLECTION;
    const stop = this.#collections.of<unknown>(kind).onChange(() => {
      stop();
      listener();
    });
  }

  get #folder(): string {
    return agentFolder(this.order.folder, this.#name);
  }

  get #enrolment(): NetworkEnrolment {
    return new NetworkEnrolment({
      store: new IdentityStore(this.#folder, "node"),
      joinClient: new TokenJoinClient(grpcDialer, { derive: deriveJoinTokenKeys }, { kind: "fingerprint" }),
      addresses: [this.order.authServer],
      token: null,
      role: "node",
      publicAddresses: [],
    });
  }

  #counted(link: AgentLink, onRegistered: () => void): AgentLink {
    return {
      register: async (facts) => {
        const duties = await link.register(facts);
        this.beats.begin(duties.heartbeatSeconds);
        onRegistered();
        return duties;
      },
      heartbeat: () => this.beats.count(link.heartbeat()),
      deregister: () => link.deregister(),
    };
  }

  async #openTunnel(identity: RoleIdentity): Promise<void> {
    const open = Promise.withResolvers<void>();
    this.#tunnel = new TunnelAgent({
      addresses: [this.order.tunnelServer],
      credentials: () => identity.current(),
      serverName: SERVER_NAME,
      sessionEncryption: "ssh",
      onStream: (stream, info) => this.#serve(identity, stream, info),
      onStateChange: (state) => {
        if (state !== "connected") return;
        this.#tunnels += 1;
        open.resolve();
      },
      logger: silentLogger,
    });
    await this.#tunnel.start();
    await open.promise;
  }

  #serve(identity: RoleIdentity, stream: Duplex, { clientAddress, clientPort }: TunnelStreamInfo): void {
    this.#server ??= sshServerOf(identity);
    this.#server.serve(stream, { remoteAddress: clientAddress, remotePort: clientPort });
  }
}

// --- internal ---

/** Lets in whoever the proxy let through. */
function sshServerOf(identity: RoleIdentity): SshServer<string> {
  const keys = new HostKeyRing(identity);
  return createSshServer<string>({
    hostKeys: () => keys.current(),
    authenticate: async (attempt) => (attempt.method === "publickey" ? { accept: attempt.user } : { reject: null }),
    onConnection: (connection) =>
      connection.handle({ session: (session) => session.handle({ terminal: () => true, environment: () => true, start: run }) }),
  });
}

function run(program: SshProgram): void {
  const channel = program.accept();
  if (channel === null) return;
  const end = (): void => {
    channel.exit(0);
    channel.end();
  };
  if (program.kind === "exec") return end();
  channel.on("data", (typed: Buffer) => void channel.write(Buffer.from(typed))).once("end", end);
}
