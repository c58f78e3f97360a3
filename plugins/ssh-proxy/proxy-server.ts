import type { Socket } from "node:net";
import type { AuthDoor } from "../../core/plugin/auth-door.js";
import type { Lifecycle } from "../../core/plugin/contract.js";
import type { HostIdentity } from "../../core/plugin/host-identity.js";
import type { HostAuthorities } from "../../core/tunnel/host-trust.js";
import { TunnelListener } from "../../core/tunnel/tunnel-listener.js";
import { ClientLogin, type ClientLoginParts } from "./client-login.js";
import { DirectDoor } from "./direct-door.js";
import type { ListenAddress } from "./listen-address.js";
import { PolicyWatch } from "./policy-watch.js";
import { ProxyPeers } from "./proxy-peers.js";
import { PublicPort } from "./public-port.js";
import { TlsUnwrapper } from "./public-port-tls.js";
import { SessionAdmission, type SessionAdmissionParts } from "./session-admission.js";
import { SshFront } from "./ssh-front.js";
import { SshOrTls } from "./ssh-or-tls.js";
import { TcpPort } from "./tcp-port.js";
import { TunnelGate, type TunnelGateParts } from "./tunnel-gate.js";
import type { WebFront } from "./web-front.js";

export interface ProxyParts extends ClientLoginParts, Omit<SessionAdmissionParts, "directory">, TunnelGateParts {
  /** Asked at start, when the process has joined. */
  readonly identity: () => HostIdentity;
  readonly collections: { ready(): Promise<void> };
  /** What sessions and tunnels depend on besides the nodes. */
  readonly watched: ConstructorParameters<typeof PolicyWatch>[1];
  readonly sshListen: ListenAddress;
  readonly tunnelListen: ListenAddress;
  /** One more port, for everything; `null` for none. */
  readonly publicListen: ListenAddress | null;
  readonly publicAddress: string | null;
  /** Tunnel listeners of other proxies, `host:port`. */
  readonly peerAddresses: readonly string[];
  /** See `DirectDoorParts`. */
  readonly hostAuthorities: () => HostAuthorities | undefined;
  readonly authDoor: AuthDoor;
  /** `null` when nothing is served to browsers. */
  readonly web: WebFront | null;
}

/** The ports of a proxy, from start to end. */
export class ProxyServer implements Lifecycle {
  #running: Running | null = null;

  constructor(private readonly parts: ProxyParts) {}

  /** Where SSH, tunnels and, on the public port, everything is listened on, `host:port`; only while it runs. */
  get addresses(): { readonly ssh: string; readonly tunnel: string; readonly public: string | null } | null {
    if (this.#running === null) return null;
    const { sshPort, tunnelPort, publicPort } = this.#running;
    return { ssh: sshPort.address, tunnel: tunnelPort.address, public: publicPort?.address ?? null };
  }

  async start(): Promise<void> {
    const { parts } = this;
    const identity = parts.identity();
    // An auth service that is down does not keep the ports closed; until it answers, everybody is refused with that reason.
    await Promise.race([parts.collections.ready(), new Promise((resolve) => setTimeout(resolve, FIRST_COPY_MS).unref())]);
    const gate = new TunnelGate(parts);
    const tunnels = new TunnelListener({
      credentials: () => identity.current(),
      authorize: (applicant) => gate.authorize(applicant),
      onTunnel: (tunnel) => gate.receive(tunnel),
      peers: {
        admit: ({ certificate }) => gate.isProxy(certificate),
        open: (applicant, info, signal) => gate.openForPeer(applicant, info, signal),
      },
      logger: parts.logger,
      clock: parts.clock,
    });
    const peers = new ProxyPeers({
      ...{ identity, addresses: parts.peerAddresses, directory: parts.directory, logger: parts.logger },
      isProxy: (certificate) => gate.isProxy(certificate),
    });
    const login = new ClientLogin(parts);
    const admission = new SessionAdmission({ ...parts, directory: peers });
    const front = new SshFront({
      ...{ identity, login, admission, gate: parts.gate, logger: parts.logger },
      publicAddress: () => parts.publicAddress ?? sshPort.address,
    });
    const direct = new DirectDoor({ ...parts, credentials: identity.current(), login, admission });
    const ssh = (socket: Socket) => front.server.serve(socket);
    const sshOrTls = new SshOrTls({ ssh, tls: (socket) => direct.accept(socket) });
    const sshPort = new TcpPort("ssh_listen_addr", parts.sshListen, (socket) => sshOrTls.accept(socket));
    const tunnelPort = new TcpPort("tunnel_listen_addr", parts.tunnelListen, (socket) => tunnels.accept(socket));
    const sshInTls = new TlsUnwrapper(identity.current(), (stream) => front.server.serve(stream));
    const servers = {
      ssh,
      direct: (socket: Socket) => direct.accept(socket),
      sshInTls: (socket: Socket) => sshInTls.accept(socket),
      tunnel: (socket: Socket) => tunnels.accept(socket),
      rpc: (socket: Socket) => parts.authDoor.accept(socket),
      web: (socket: Socket) => (parts.web === null ? void socket.destroy() : parts.web.accept(socket)),
    };
    const { publicListen: listen, logger } = parts;
    const publicPort = listen === null ? null : new PublicPort({ listen, servers, logger });
    const stops = [
      identity.onChange((credentials) => {
        tunnels.refreshCredentials();
        sshInTls.use(credentials);
        direct.use(credentials);
        parts.web?.refresh();
        gate.recheckAuthority(credentials.trustPem);
      }),
    ];
    this.#running = {
      gate,
      tunnels,
      admission,
      front,
      sshOrTls,
      direct,
      sshPort,
      tunnelPort,
      publicPort,
      watch: new PolicyWatch(parts.nodes, parts.watched, (changed) => {
        admission.recheck(changed);
        front.recheck(changed);
        gate.recheck();
      }),
      stops,
    };
    await tunnelPort.listen();
    await sshPort.listen();
    await parts.web?.start(() => identity.current());
    await publicPort?.listen();
    const everything = publicPort === null ? {} : { everything: publicPort.address };
    const web = parts.web === null ? {} : { web: parts.web.origin };
    logger.info("proxy ready", { ssh: sshPort.address, tunnels: tunnelPort.address, ...web, ...everything });
  }

  /** Sessions under way go on, and so do the tunnels that they came through. */
  async drain(): Promise<void> {
    this.#running?.sshPort.close();
    this.#running?.tunnelPort.close();
    this.#running?.publicPort?.close();
    await Promise.all([this.#running?.tunnels.drain(), this.parts.web?.drain()]);
  }

  async dispose(): Promise<void> {
    const running = this.#running;
    if (running === null) return;
    this.#running = null;
    running.sshPort.close();
    running.tunnelPort.close();
    running.publicPort?.close();
    this.parts.web?.close();
    for (const stop of running.stops) stop();
    running.watch.stop();
    running.gate.stop();
    running.sshOrTls.close();
    running.direct.close();
    running.admission.close(SHUTTING_DOWN);
    running.front.close(SHUTTING_DOWN);
    this.parts.directory.disconnectAll(SHUTTING_DOWN);
    await running.tunnels.dispose();
  }
}

// --- internal ---

const FIRST_COPY_MS = 10_000;
const SHUTTING_DOWN = "the proxy is shutting down";

interface Running {
  readonly gate: TunnelGate;
  readonly tunnels: TunnelListener;
  readonly admission: SessionAdmission;
  readonly front: SshFront;
  readonly sshOrTls: SshOrTls;
  readonly direct: DirectDoor;
  readonly sshPort: TcpPort;
  readonly tunnelPort: TcpPort;
  readonly publicPort: PublicPort | null;
  readonly watch: PolicyWatch;
  readonly stops: readonly (() => void)[];
}
