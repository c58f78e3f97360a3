import type { X509Certificate } from "node:crypto";
import { connect as connectHttp2 } from "node:http2";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from "node:tls";
import { RefusalLog } from "../door/refusal-log.js";
import { isMezError, MezError, messageOf } from "../errors/error.js";
import { lendingSocket } from "../flow/lending-socket.js";
import type { Logger } from "../plugin/logger.js";
import { type Clock, systemClock } from "../time/clock.js";
import { BARE_STREAM_MAGIC, receiveBareStream } from "./bare-stream.js";
import { sayGoodbye } from "./goodbye.js";
import { watchHeartbeat } from "./heartbeat.js";
import { answerPeer, refusePeer } from "./peer-stream.js";
import { type PendingConnection, PendingConnections } from "./pending-connections.js";
import { Rendezvous } from "./rendezvous.js";
import type { TunnelStreamInfo } from "./stream-headers.js";
import { Tunnel, type TunnelPeer } from "./tunnel.js";
import { TunnelLine } from "./tunnel-line.js";
import * as protocol from "./tunnel-protocol.js";
import { tunnelStream } from "./tunnel-stream.js";

/** Handshakes of one network at once. */
const MAX_UNDER_WAY = 256;
/** What nobody has to keep. */
const NOTHING: Buffer = Buffer.alloc(0);

/** An agent that holds a certificate of the Host CA and asks to connect. */
export interface TunnelApplicant {
  /** Chain and dates are already checked; `raw` is its DER. */
  readonly certificate: X509Certificate;
  /** IP address that it dialled from. */
  readonly address: string;
}

/** How other proxies are served. */
export interface ServedPeers {
  /** Whether it is a proxy that may ask; decided before anything of its question is read. */
  readonly admit: (applicant: TunnelApplicant) => boolean;
  /**
   * Opens a stream to a node that is connected here.
   * @throws {MezError} `NODE_OFFLINE`, or why the other proxy is refused
   */
  readonly open: (applicant: TunnelApplicant, info: TunnelStreamInfo, signal: AbortSignal) => Promise<Duplex>;
}

export interface TunnelListenerOptions {
  /** Asked at start and at each `refreshCredentials()`. */
  readonly credentials: () => protocol.TunnelCredentials;
  /** Reads who the agent is, or says in a line why it may not connect; the agent logs that line. */
  readonly authorize: (applicant: TunnelApplicant) => TunnelPeer | { readonly refusal: string };
  /** Receives each tunnel once it takes streams, e.g. `(tunnel) => directory.add(tunnel)`. */
  readonly onTunnel: (tunnel: Tunnel) => void;
  /** Without it, other proxies are not served. */
  readonly peers?: ServedPeers;
  readonly logger: Logger;
  readonly clock?: Clock;
  /** Default 10. */
  readonly handshakeSeconds?: number;
  /** Default 15. */
  readonly pingIntervalSeconds?: number;
  /** Connections that have not become a tunnel yet and do not wait for that, see `PendingConnections`. Default 8192. */
  readonly maxPending?: number;
  /** Agents that have asked for a tunnel and wait for their turn. Default 16384. */
  readonly maxWaiting?: number;
}

/** The proxy's side of reverse tunnels: accepts agents over TLS 1.3 with mutual certificates. */
export class TunnelListener {
  readonly #options: TunnelListenerOptions;
  readonly #server: Server;
  readonly #tls: TlsServer;
  readonly #pending: PendingConnections;
  readonly #line: TunnelLine;
  readonly #rendezvous = new Rendezvous();
  readonly #sockets = new Set<Socket>();
  /** What to call when a handshake is over that was waited for, by what is under the TLS. */
  readonly #turns = new WeakMap<Socket, () => void>();
  readonly #refusals: RefusalLog;

  constructor(options: TunnelListenerOptions) {
    this.#options = options;
    const { maxPending = 8_192, maxWaiting = 16_384 } = options;
    this.#pending = new PendingConnections(maxPending);
    this.#refusals = new RefusalLog(options.logger, options.clock ?? systemClock);
    this.#line = new TunnelLine(
      { room: maxWaiting, underWay: Math.ceil(Math.min(maxPending / 2, MAX_UNDER_WAY)) },
      ({ remoteAddress: address }, reason) =>
        this.#refusals.warn("an agent was closed before its turn", { address, reason, waiting: this.waitingCount }),
    );
    this.#tls = createTlsServer({
      ...protocol.tunnelServerTlsOptions(options.credentials()),
      ALPNProtocols: [protocol.TUNNEL_ALPN, protocol.STREAM_ALPN, protocol.PEER_ALPN],
      requestCert: true,
      rejectUnauthorized: true,
    });
    this.#tls.on("secureConnection", (socket) => this.#welcome(socket));
    this.#tls.on("tlsClientError", (error, socket) => {
      options.logger.debug("tunnel handshake failed", { address: socket.remoteAddress, error: messageOf(error) });
      socket.destroy();
    });
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => this.accept(lendingSocket(socket)));
  }

  /**
   * Listens for agents.
   * @param port 0 takes any free port.
   * @returns The port listened on.
   * @throws {MezError} `PORT_UNAVAILABLE`
   */
  listen(port: number, host: string): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", (cause) => {
        reject(new MezError("PORT_UNAVAILABLE", `cannot listen for tunnels on ${host}:${port}: ${messageOf(cause)}`, { cause }));
      });
      this.#server.listen({ port, host, backlog: 4096 }, () => {
        this.#server.removeAllListeners("error");
        this.#server.on("error", (error) => this.#options.logger.error("tunnel listener failed", { error: messageOf(error) }));
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** Takes a fresh TCP connection, e.g. from a listener that serves several protocols; nothing of it may have been read. */
  accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => this.#sockets.delete(socket));
    const pending = this.#hold(socket);
    if (pending !== null) this.#recognise(pending);
  }

  /** Connections that are not tunnels yet, those that wait for their turn not counted. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  /** Agents that wait for their turn. */
  get waitingCount(): number {
    return this.#line.length;
  }

  /** Uses the current credentials for connections from now on. */
  refreshCredentials(): void {
    this.#tls.setSecureContext(protocol.tunnelServerTlsOptions(this.#options.credentials()));
  }

  /** Takes no new agents; tunnels go on. */
  async drain(): Promise<void> {
    if (this.#server.listening) this.#server.close();
    this.#pending.closeAll();
    this.#line.closeAll();
  }

  /** Closes the port and every connection. */
  async dispose(): Promise<void> {
    await this.drain();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** @returns `null` when there is no room; the socket is closed then, as it is when its time is up. */
  #hold(socket: Socket): PendingConnection | null {
    const id = endPoints(socket);
    const pending = this.#pending.add(id, socket);
    if (pending === null) return null;
    const seconds = this.#options.handshakeSeconds ?? protocol.HANDSHAKE_SECONDS;
    const grace = setTimeout(() => this.#pending.holds(id, pending) && socket.destroy(), seconds * 1000);
    socket.once("close", () => {
      clearTimeout(grace);
      this.#pending.delete(id);
    });
    return socket.destroyed ? null : pending;
  }

  /** A stream without TLS says so first; everything else is TLS, or fails as such. Who wants a tunnel waits for their turn. */
  #recognise(pending: PendingConnection): void {
    const { socket } = pending;
    let begun = NOTHING;
    const read = () => {
      const chunk: Buffer | null = socket.read();
      if (chunk === null) return;
      pending.speaks = true;
      begun = begun.length === 0 ? chunk : Buffer.concat([begun, chunk]);
      const length = Math.min(begun.length, BARE_STREAM_MAGIC.length);
      const isBare = begun.subarray(0, length).equals(BARE_STREAM_MAGIC.subarray(0, length));
      if (isBare && length < BARE_STREAM_MAGIC.length) return;
      socket.off("readable", read).off("end", abandon);
      const all = begun;
      begun = NOTHING;
      if (!isBare && all.includes(protocol.TUNNEL_ALPN)) {
        this.#pending.delete(endPoints(socket));
        return this.#line.wait(socket, all, (over) => this.#beginTunnel(socket, over));
      }
      socket.unshift(all);
      if (isBare) void this.#receiveBareStream(socket);
      else this.#tls.emit("connection", socket);
    };
    const abandon = () => void socket.destroy();
    socket.on("readable", read).once("end", abandon);
  }

  #beginTunnel(socket: Socket, over: () => void): void {
    const pending = this.#hold(socket);
    if (pending === null) return;
    pending.speaks = true;
    this.#turns.set(socket, over);
    this.#tls.emit("connection", socket);
  }

  async #receiveBareStream(socket: Socket): Promise<void> {
    const address = socket.remoteAddress ?? "unknown";
    const id = endPoints(socket);
    const seconds = this.#options.handshakeSeconds ?? protocol.HANDSHAKE_SECONDS;
    try {
      const { key, stream } = await receiveBareStream(socket, (asked) => this.#rendezvous.secretOf(asked), seconds);
      this.#pending.delete(id);
      if (!this.#rendezvous.bringProven(key, stream)) stream.destroy();
    } catch (error) {
      this.#options.logger.debug("a stream was not taken", { address, error: messageOf(error) });
    }
  }

  #welcome(socket: TLSSocket): void {
    const address = socket.remoteAddress ?? "unknown";
    const certificate = socket.getPeerX509Certificate();
    const tcp = this.#pending.get(endPoints(socket));
    socket.on("error", () => socket.destroy());
    if (certificate === undefined || tcp === null) return void socket.destroy();
    this.#turns.get(tcp)?.();
    const applicant = { certificate, address };
    if (socket.alpnProtocol === protocol.STREAM_ALPN) this.#receiveStream(socket, tcp, applicant);
    else if (socket.alpnProtocol === protocol.TUNNEL_ALPN) this.#receiveTunnel(socket, applicant);
    else if (socket.alpnProtocol === protocol.PEER_ALPN) this.#receivePeer(socket, tcp, applicant);
    else socket.destroy();
  }

  #receiveStream(socket: TLSSocket, tcp: Socket, applicant: TunnelApplicant): void {
    const peer = this.#authorize(applicant);
    const readKey = () => {
      const key: Buffer | null = socket.read(protocol.STREAM_KEY_BYTES);
      if (key === null) return;
      socket.off("readable", readKey);
      this.#pending.delete(endPoints(socket));
      const isWanted = "nodeName" in peer && this.#rendezvous.bring(key, peer.nodeName, () => tunnelStream(socket, tcp));
      if (!isWanted) socket.destroy();
    };
    socket.on("readable", readKey);
    socket.once("end", () => this.#pending.get(endPoints(socket)) !== null && socket.destroy());
  }

  #receivePeer(socket: TLSSocket, tcp: Socket, applicant: TunnelApplicant): void {
    const { peers, logger } = this.#options;
    const { address, certificate } = applicant;
    if (peers === undefined || !peers.admit(applicant)) {
      this.#refusals.warn("who asked is no proxy that is served", { address, subject: certificate.subject.slice(0, 256) });
      return refusePeer(socket);
    }
    const open = async (info: TunnelStreamInfo, signal: AbortSignal): Promise<Duplex> => {
      try {
        return await peers.open(applicant, info, signal);
      } catch (error) {
        if (!isMezError(error, "NODE_OFFLINE")) logger.warn("another proxy got no stream", { address, reason: messageOf(error) });
        throw error;
      }
    };
    void answerPeer(socket, tcp, open, () => void this.#pending.delete(endPoints(socket)));
  }

  #receiveTunnel(socket: TLSSocket, { certificate, address }: TunnelApplicant): void {
    const { logger, onTunnel, clock = systemClock, pingIntervalSeconds = protocol.PING_INTERVAL_SECONDS } = this.#options;
    socket.allowHalfOpen = false;
    const session = connectHttp2("https://agent", { ...protocol.HTTP2_OPTIONS, createConnection: () => socket });
    session.on("error", (error) => logger.debug("tunnel failed", { address, error: messageOf(error) }));
    session.once("close", () => socket.destroy());
    session.once("remoteSettings", () => {
      const peer = this.#authorize({ certificate, address });
      if ("refusal" in peer) {
        logger.warn("tunnel refused", { address, reason: peer.refusal });
        return sayGoodbye(session, peer.refusal);
      }
      this.#pending.delete(endPoints(socket));
      watchHeartbeat(session, pingIntervalSeconds, () => {
        logger.warn("tunnel timed out", { node: peer.nodeName, address });
        session.destroy();
      });
      onTunnel(new Tunnel(session, this.#rendezvous, peer, certificate, address, clock.now()));
    });
  }

  #authorize(applicant: TunnelApplicant): TunnelPeer | { readonly refusal: string } {
    try {
      return this.#options.authorize(applicant);
    } catch (error) {
      this.#options.logger.error("tunnel authorization failed", { address: applicant.address, error: messageOf(error) });
      return { refusal: "the proxy could not check the certificate" };
    }
  }
}

// --- internal ---

function endPoints(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress} ${socket.localPort}`;
}
