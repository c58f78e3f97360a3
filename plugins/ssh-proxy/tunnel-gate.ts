import { X509Certificate } from "node:crypto";
import type { Duplex } from "node:stream";
import { MezError } from "../../core/errors/error.js";
import { subjectFields } from "../../core/plugin/certificate-subject.js";
import type { Collection } from "../../core/plugin/collection.js";
import { ROLE_ORGANIZATION_PREFIX } from "../../core/plugin/host-identity.js";
import type { Logger } from "../../core/plugin/logger.js";
import { type ChangingGuards, guardRefusal, onGuardChange } from "../../core/ports/guard.js";
import type { Clock } from "../../core/time/clock.js";
import type { TunnelStreamInfo } from "../../core/tunnel/stream-headers.js";
import type { Tunnel, TunnelPeer } from "../../core/tunnel/tunnel.js";
import type { TunnelDirectory } from "../../core/tunnel/tunnel-directory.js";
import type { TunnelApplicant } from "../../core/tunnel/tunnel-listener.js";
import type { SessionEncryption } from "../../core/tunnel/tunnel-protocol.js";
import type { NodeEntry, ProxyEntry } from "../nodes/api.js";
import { FAREWELL_MS } from "./proxy-session.js";

export interface TunnelGateParts {
  readonly nodes: Collection<NodeEntry>;
  readonly proxies: Collection<ProxyEntry>;
  readonly directory: TunnelDirectory;
  readonly guards: ChangingGuards;
  /** For streams that other proxies ask for. */
  readonly sessionEncryption: SessionEncryption;
  readonly clusterName: string;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** Lets nodes connect that are in the inventory and not locked, and ends their tunnels when that is over. */
export class TunnelGate {
  readonly #stops: readonly (() => void)[];
  readonly #changed = new Set<string>();
  /** Whether a guard may refuse somebody whom it let in: asking for every tunnel costs too much to do at each change of a node. */
  #hasGuardChanged = false;
  readonly #expiries = new Set<NodeJS.Timeout>();
  /** Streams that other proxies asked for, with their certificates. */
  readonly #forPeers = new Map<Duplex, X509Certificate>();

  constructor(private readonly parts: TunnelGateParts) {
    this.#stops = [
      parts.nodes.onChange((name) => void this.#changed.add(name)),
      onGuardChange(parts.guards, () => {
        this.#hasGuardChanged = true;
      }),
    ];
  }

  /** Says who an agent is, from its host certificate; for the `TunnelListener`. */
  authorize({ certificate }: TunnelApplicant): TunnelPeer | { readonly refusal: string } {
    const { clusterName, nodes, guards } = this.parts;
    const subject = subjectFields(certificate);
    const nodeName = subject.get("CN") ?? "";
    if (subject.get("O") !== NODE_ORGANIZATION)
      return { refusal: "only nodes open tunnels; this is the certificate of something else" };
    const node = nodes.get(nodeName);
    if (node === undefined || !names(certificate, clusterName, node.id))
      return {
        refusal: `node "${nodeName}" is not in the inventory of cluster "${clusterName}"; it was removed, or joined only now`,
      };
    const refusal = guardRefusal(guards, { agent: nodeName });
    if (refusal !== null) return { refusal: refusal.message };
    return { nodeName, role: "node" };
  }

  /** Tells whether a certificate is that of a proxy of this cluster, which is not removed and not locked. */
  isProxy(certificate: X509Certificate): boolean {
    const { clusterName, proxies, guards } = this.parts;
    const subject = subjectFields(certificate);
    const name = subject.get("CN") ?? "";
    const proxy = proxies.get(name);
    return (
      subject.get("O") === PROXY_ORGANIZATION &&
      proxy !== undefined &&
      names(certificate, clusterName, proxy.id) &&
      guardRefusal(guards, { agent: name }) === null
    );
  }

  /**
   * Opens a stream for another proxy, to a node that is connected here. It ends when that proxy is removed or locked.
   * @throws {MezError} `ACCESS_DENIED`; `NODE_OFFLINE`, `TUNNEL_LOST`
   */
  async openForPeer({ certificate }: TunnelApplicant, info: TunnelStreamInfo, signal: AbortSignal): Promise<Duplex> {
    const refused = () => new MezError("ACCESS_DENIED", "only proxies of this cluster that are not locked are served");
    if (!this.isProxy(certificate)) throw refused();
    const stream = await this.parts.directory.open(info, signal, this.parts.sessionEncryption);
    this.#forPeers.set(stream, certificate);
    stream.once("close", () => this.#forPeers.delete(stream));
    if (this.isProxy(certificate)) return stream;
    stream.destroy();
    throw refused();
  }

  /** Takes a tunnel that stands; it ends with its certificate at the latest, and the agent comes back with a renewed one. */
  receive(tunnel: Tunnel): void {
    const { directory, clock, logger } = this.parts;
    const { nodeName } = tunnel.peer;
    directory.add(tunnel);
    logger.info("node connected", { node: nodeName, address: tunnel.address });
    const remainingMs = tunnel.certificate.validToDate.getTime() - clock.now().getTime();
    const expiry = setTimeout(
      () => tunnel.close("the host certificate has expired"),
      Math.min(Math.max(remainingMs, 0), MAX_TIMER_MS),
    ).unref();
    this.#expiries.add(expiry);
    tunnel.onClosed(() => {
      clearTimeout(expiry);
      this.#expiries.delete(expiry);
      logger.info("node disconnected", { node: nodeName, address: tunnel.address });
    });
  }

  /** Ends the tunnels of nodes that were removed or locked; after their sessions, to which the nodes may say why. */
  recheck(): void {
    this.#disconnectRemoved();
    this.#disconnectLocked();
    for (const [stream, certificate] of this.#forPeers) if (!this.isProxy(certificate)) stream.destroy();
  }

  /** Ends tunnels whose certificates are of a Host CA that is not trusted any more; the streams under way go on. */
  recheckAuthority(trustPem: readonly string[]): void {
    const authorities = trustPem.map((pem) => new X509Certificate(pem).publicKey);
    for (const tunnel of this.parts.directory.all())
      if (!authorities.some((key) => tunnel.certificate.verify(key)))
        tunnel.close("the host certificate is of a CA that was replaced");
  }

  stop(): void {
    for (const stop of this.#stops) stop();
    for (const expiry of this.#expiries) clearTimeout(expiry);
  }

  #disconnectRemoved(): void {
    const { directory, clusterName, nodes } = this.parts;
    for (const name of this.#changed) {
      const node = nodes.get(name);
      const hasOther =
        node === undefined || directory.of(name).some(({ certificate }) => !names(certificate, clusterName, node.id));
      if (hasOther) directory.disconnect(name, `node "${name}" was removed from the cluster`, FAREWELL_MS);
    }
    this.#changed.clear();
  }

  #disconnectLocked(): void {
    if (!this.#hasGuardChanged) return;
    this.#hasGuardChanged = false;
    const { directory, guards } = this.parts;
    for (const name of new Set(directory.all().map(({ peer }) => peer.nodeName))) {
      const refusal = guardRefusal(guards, { agent: name });
      if (refusal !== null) directory.disconnect(name, refusal.message, FAREWELL_MS);
    }
  }
}

// --- internal ---

const PROXY_ORGANIZATION = `${ROLE_ORGANIZATION_PREFIX}proxy`;
const NODE_ORGANIZATION = `${ROLE_ORGANIZATION_PREFIX}node`;
const MAX_TIMER_MS = 2 ** 31 - 1;

function names(certificate: X509Certificate, clusterName: string, id: string): boolean {
  return (certificate.subjectAltName ?? "").split(", ").includes(`URI:mezite://${clusterName}/agent/${id}`);
}
