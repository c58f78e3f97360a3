import { constants, createHash, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type SecureContextOptions, type TLSSocket, type Server as TlsServer } from "node:tls";
import { HeldOpening } from "../door/held-opening.js";
import { RefusalLog } from "../door/refusal-log.js";
import { Turnstile } from "../door/turnstile.js";
import { MezError } from "../errors/error.js";
import { systemReason } from "../errors/system-reason.js";
import type { HostCredentials } from "../plugin/host-identity.js";
import type { Logger } from "../plugin/logger.js";
import { keepRead } from "../plugin/read-certificate.js";
import { systemClock } from "../time/clock.js";
import { parseHostPort, plainAddress } from "./address.js";
import { NetworkShares } from "./network-shares.js";
import { BLIND_RELAY_ALPN, type Origin, RELAY_ALPN, takeOrigin } from "./relayed-origin.js";

const HANDSHAKE_TIMEOUT_MS = 10_000;
const MAX_CONNECTIONS = 20_000;
/** Of these; those who wait for the handshake leave them to others. */
const SPARE_CONNECTIONS = 2_000;
const STRANGERS_PER_NETWORK = 1_000;

/** What the server knows of a client connection besides its bytes. */
export interface ConnectionFacts {
  readonly address: string;
  /** DER of a client certificate that chains to the Host CA and is within its dates. */
  readonly clientCertificate: Buffer | null;
  /** DER of any other client certificate; the client has proved to hold its key, nothing else is checked. */
  readonly foreignCertificate: Buffer | null;
  /** SHA-256 over the DER of the certificate that this connection was served with. */
  readonly serverFingerprint: Buffer;
  /** From the client, so far. */
  readonly bytesRead: number;
}

export interface RpcListenerEvents {
  readonly onConnection: (socket: TLSSocket) => void;
  /**
   * Asked about a peer that wants to pass clients' connections on. `certificate` is its DER, of the Host CA and in force.
   * @throws when it may not.
   */
  readonly admitRelay: (certificate: Buffer, address: string) => Promise<void>;
  /** Whether every call is refused now. */
  readonly isBlind: () => boolean;
  readonly logger: Pick<Logger, "warn">;
}

export interface RpcListenerLimits {
  /**
   * Connections of one network at once whose clients have shown no certificate of the Host CA; default 1000. As many are in the
   * handshake at once; the others wait.
   */
  readonly strangersPerNetwork?: number | undefined;
  /** How long a connection waits for its handshake to begin; see `Turnstile`. */
  readonly waitMs?: number;
}

/**
 * Accepts TLS 1.3 connections for the gRPC server. A client certificate is asked for, not demanded: joining and logging
 * in come before one exists. One that does not chain to the Host CA is left to whoever knows its authority.
 *
 * A connection comes over the port, from `accept`, or inside of one that a proxy opened for it (`relayed-door.ts`). It begins when its
 * turn has come: when this server comes back, all agents are at its door, and handshakes that all begin end too late.
 */
export class RpcListener {
  readonly #server: Server;
  readonly #tls: TlsServer;
  readonly #facts = new Map<string, ConnectionFacts>();
  readonly #sockets = new Set<TLSSocket>();
  /** What is under the sockets, from its first byte on. */
  readonly #carriers = new Set<Socket>();
  /** Of relayed connections, by the end points of what carries them. */
  readonly #origins = new Map<string, Origin>();
  readonly #turnstile: Turnstile;
  /** What to call when a handshake is over, by the same end points. */
  readonly #handshakes = new Map<string, () => void>();
  readonly #strangerShares: NetworkShares;
  readonly #refusals: RefusalLog;
  #accepted = 0;

  constructor(
    credentials: HostCredentials,
    private readonly events: RpcListenerEvents,
    { strangersPerNetwork = STRANGERS_PER_NETWORK, ...limits }: RpcListenerLimits = {},
  ) {
    this.#refusals = new RefusalLog(events.logger, systemClock);
    this.#turnstile = new Turnstile({
      ...limits,
      perNetwork: strangersPerNetwork,
      room: () => MAX_CONNECTIONS - SPARE_CONNECTIONS - (this.#carriers.size - this.#turnstile.waiting),
    });
    this.#strangerShares = new NetworkShares(strangersPerNetwork);
    this.#tls = createTlsServer({
      ...contextOf(credentials),
      minVersion: "TLSv1.3",
      requestCert: true,
      rejectUnauthorized: false,
      ALPNCallback: ({ protocols }) => this.#protocols().find((each) => protocols.includes(each)),
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    });
    this.#tls.on("tlsClientError", (_error, socket) => socket.destroy());
    this.#tls.on("secureConnection", (socket) => this.#welcome(socket));
    this.#server = createServer({ noDelay: true, pauseOnConnect: true }, (carrier) => this.#serve(carrier));
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /** @throws {MezError} `ADDRESS_IN_USE` */
  async listen(address: string): Promise<string> {
    const { host, port } = parseHostPort(address);
    try {
      this.#server.listen({ host, port, backlog: 4096 });
      await once(this.#server, "listening");
    } catch (cause) {
      const why = (cause as NodeJS.ErrnoException).code;
      if (why === "EADDRINUSE")
        throw new MezError(
          "ADDRESS_IN_USE",
          `address ${address} is in use by another process; stop it or change auth.listen_addr`,
        );
      throw new MezError("ADDRESS_UNUSABLE", `cannot listen on ${address}: ${systemReason(cause)}`, { cause });
    }
    const { address: boundHost, port: boundPort, family } = this.#server.address() as AddressInfo;
    return family === "IPv6" ? `[${boundHost}]:${boundPort}` : `${boundHost}:${boundPort}`;
  }

  /** Takes a TCP connection that came to another port; what was read of it has been put back. */
  accept(socket: Socket): void {
    if (this.#sockets.size >= MAX_CONNECTIONS) return void socket.destroy();
    socket.allowHalfOpen = false;
    this.#serve(socket);
  }

  /** Serves new connections with these. Those under way keep theirs, but client certificates of a CA that went are worth nothing any more. */
  use(credentials: HostCredentials): void {
    this.#tls.setSecureContext({ ...contextOf(credentials), minVersion: "TLSv1.3" });
    const authorities = credentials.trustPem.map((pem) => new X509Certificate(pem).publicKey);
    for (const [peer, facts] of this.#facts) {
      const { clientCertificate } = facts;
      if (clientCertificate === null) continue;
      const certificate = new X509Certificate(clientCertificate);
      if (!authorities.some((key) => certificate.verify(key)))
        this.#facts.set(peer, Object.create(facts, { clientCertificate: { value: null } }) as ConnectionFacts);
    }
  }

  /** @param peer A live connection, as gRPC names it. */
  facts(peer: string): ConnectionFacts | undefined {
    return this.#facts.get(peer);
  }

  async close(): Promise<void> {
    const closed = this.#server.listening ? once(this.#server, "close") : Promise.resolve();
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    // Also those in the handshake, which would be served otherwise when it is over, and keep the server from closing.
    for (const carrier of this.#carriers) carrier.destroy();
    await closed;
  }

  /** Older proxies know only the first of the relays' names. */
  #protocols(): readonly string[] {
    return this.events.isBlind() ? ["h2", BLIND_RELAY_ALPN, RELAY_ALPN] : ["h2", RELAY_ALPN];
  }

  #serve(carrier: Socket): void {
    const key = endPoints(carrier);
    const address = this.#origins.get(key)?.address ?? carrier.remoteAddress ?? "";
    this.#carriers.add(carrier);
    carrier.on("error", () => carrier.destroy());
    let opening: HeldOpening | null = null;
    let isWaiting = true;
    const leave = this.#turnstile.enter(address, {
      begin: (over) => {
        isWaiting = false;
        this.#handshakes.set(key, over);
        carrier.once("close", () => {
          over();
          if (this.#handshakes.get(key) === over) this.#handshakes.delete(key);
        });
        opening?.release();
        this.#tls.emit("connection", carrier);
      },
      refuse: (reason) => {
        isWaiting = false;
        const waiting = this.#turnstile.waiting;
        this.#refusals.warn("a connection was closed before its handshake", { address: plainAddress(address), reason, waiting });
        carrier.destroy();
      },
      hasSpoken: () => carrier.bytesRead > 0,
    });
    // Reading is how one notices that a client has left. Whose turn comes at once is not read twice.
    if (isWaiting) opening = new HeldOpening(carrier);
    carrier.once("close", () => {
      this.#carriers.delete(carrier);
      leave();
    });
  }

  #welcome(socket: TLSSocket): void {
    const key = endPoints(socket);
    this.#handshakes.get(key)?.();
    const origin = this.#origins.get(key);
    const address = origin?.address ?? plainAddress(socket.remoteAddress ?? "");
    socket.on("error", () => socket.destroy());
    const giveBack = socket.authorized ? () => undefined : this.#strangerShares.take(address);
    if (giveBack === null) return void socket.destroy();
    this.#sockets.add(socket);
    socket.once("close", () => {
      this.#sockets.delete(socket);
      giveBack();
    });
    if (!isRelay(socket)) {
      this.#remember(socket, address);
      this.events.onConnection(socket);
    } else if (origin === undefined) void this.#receiveRelay(socket).catch(() => socket.destroy());
    else socket.destroy();
  }

  async #receiveRelay(carrier: TLSSocket): Promise<void> {
    const certificate = carrier.getPeerX509Certificate();
    if (certificate === undefined || !carrier.authorized) return void carrier.destroy();
    await this.events.admitRelay(certificate.raw, plainAddress(carrier.remoteAddress ?? ""));
    const origin = await takeOrigin(carrier, HANDSHAKE_TIMEOUT_MS);
    if (carrier.destroyed) return;
    const key = endPoints(carrier);
    this.#origins.set(key, origin);
    carrier.once("close", () => this.#origins.delete(key));
    this.#serve(carrier);
  }

  #remember(socket: TLSSocket, address: string): void {
    // One client may reach us from one port in two ways, and a proxy says what it likes: gRPC's name of a peer has to be ours.
    this.#accepted += 1;
    Object.defineProperty(socket, "remotePort", { value: this.#accepted });
    const peer = `${socket.remoteAddress}:${this.#accepted}`;
    const certificate = socket.getPeerX509Certificate();
    const presented = certificate?.raw ?? null;
    if (certificate !== undefined && presented !== null) keepRead(presented, certificate);
    let fingerprint: Buffer | null = null;
    this.#facts.set(peer, {
      address,
      clientCertificate: socket.authorized ? presented : null,
      foreignCertificate: socket.authorized ? null : presented,
      // Few ask, and the certificate is read anew each time.
      get serverFingerprint() {
        fingerprint ??= fingerprintOf(socket);
        return fingerprint;
      },
      get bytesRead() {
        return socket.bytesRead;
      },
    });
    socket.once("close", () => this.#facts.delete(peer));
  }
}

// --- internal ---

function isRelay({ alpnProtocol }: TLSSocket): boolean {
  return alpnProtocol === RELAY_ALPN || alpnProtocol === BLIND_RELAY_ALPN;
}

/** The same for a connection and for what it carries. */
function endPoints(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress} ${socket.localPort}`;
}

/** After the connection has closed it fits no certificate. */
function fingerprintOf(socket: TLSSocket): Buffer {
  const own = socket.getCertificate() as { raw?: Buffer } | null;
  return createHash("sha256")
    .update(own?.raw ?? "")
    .digest();
}

/** No connection resumes another: each proves its certificate, so tickets would be made for nobody. */
function contextOf(credentials: HostCredentials): SecureContextOptions {
  return {
    ...{ key: credentials.privateKeyPem.expose(), cert: credentials.certificatePem, ca: [...credentials.trustPem] },
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}
