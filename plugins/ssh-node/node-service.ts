import { requireAccountName } from "../../core/plugin/account-name.js";
import type { Collections } from "../../core/plugin/collection.js";
import type { Lifecycle } from "../../core/plugin/contract.js";
import { sshCryptoBackend } from "../../core/ssh/ssh2.js";
import { TunnelAgent } from "../../core/tunnel/tunnel-agent.js";
import type { AgentRegistration } from "../nodes/api.js";
import { NodeServer, type NodeServerParts } from "./node-server.js";
import { isRoot, requireUserTools } from "./user-rights.js";

export interface NodeServiceParts extends Omit<NodeServerParts, "identity"> {
  readonly registration: AgentRegistration;
  readonly collections: Collections;
}

/** Makes this machine a node: joins, opens a tunnel to each proxy, and serves the sessions that come through. */
export class NodeService implements Lifecycle {
  #server: NodeServer | null = null;
  #tunnels: readonly TunnelAgent[] = [];
  #stopRenewing: (() => void) | null = null;

  constructor(private readonly parts: NodeServiceParts) {}

  async start(): Promise<void> {
    const { registration, settings, logger, recorder } = this.parts;
    requireUserTools();
    const { name, labels } = settings;
    const identity = await registration.register({ name, labels });
    const server = new NodeServer({ ...this.parts, identity });
    this.#server = server;
    this.#tunnels = settings.proxyAddresses.map(
      (address) =>
        new TunnelAgent({
          addresses: [address],
          credentials: () => identity.current(),
          serverName: PROXY_NAME,
          sessionEncryption: settings.sessionEncryption,
          onStream: (stream, { clientAddress: remoteAddress, clientPort: remotePort, sessionId, factor }) =>
            server.serve(stream, { remoteAddress, remotePort, sessionId, ...(factor === undefined ? {} : { factor }) }),
          onSessionEnd: ({ sessionId, reason }) => server.endSession(sessionId, `the proxy has ended the session: ${reason}`),
          logger,
        }),
    );
    this.#stopRenewing = identity.onChange(() => {
      for (const tunnel of this.#tunnels) tunnel.renew();
    });
    for (const tunnel of this.#tunnels) await tunnel.start();
    logger.info("node is up", { node: name, proxies: settings.proxyAddresses.join(", "), crypto: sshCryptoBackend() });
    if (!isRoot()) logger.warn(`not running as root: only the login ${requireAccountName()} is served`);
    if (recorder === null) logger.warn("the plugin recordings is off: sessions are not recorded");
  }

  async drain(): Promise<void> {
    await Promise.all(this.#tunnels.map((tunnel) => tunnel.drain()));
  }

  async dispose(): Promise<void> {
    this.#stopRenewing?.();
    this.#server?.close("this node is going down");
    await Promise.all(this.#tunnels.map((tunnel) => tunnel.dispose()));
  }
}

// --- internal ---

/** Every proxy's certificate carries it, and no node's: a node cannot pass for a proxy. */
const PROXY_NAME = "localhost";
