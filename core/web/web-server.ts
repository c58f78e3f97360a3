import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { Socket } from "node:net";
import type { Logger } from "../plugin/logger.js";
import type { WebCertificate, WebDoor, WebDoorSettings } from "../plugin/web-door.js";
import type { WebAuthenticator } from "../ports/web-authenticator.js";
import { AnonymousCallLimiter } from "../rpc/interceptors/limit.js";
import type { Clock } from "../time/clock.js";
import { CertificateFiles } from "./certificate-files.js";
import { ConnectionCount } from "./connection-count.js";
import { HostNames } from "./host-names.js";
import type { WebRouteTable } from "./route-table.js";
import { MAX_HEADERS, WebExchange } from "./web-exchange.js";

export interface WebLimits {
  /** For the TLS handshake, and from there for the head of a request. */
  readonly headSeconds: number;
  /** For a request with its body. */
  readonly requestSeconds: number;
  /** For a client that takes nothing of an answer. */
  readonly silentSeconds: number;
  /** For another request on a connection. */
  readonly keepAliveSeconds: number;
  readonly handlerSeconds: number;
  readonly headBytes: number;
  readonly requestsPerConnection: number;
  readonly connections: number;
  readonly connectionsPerAddress: number;
  /** Requests of one address: `burst` at once, `perSecond` after that. */
  readonly requestsPerAddress: { readonly burst: number; readonly perSecond: number };
}

export interface WebServerParts {
  readonly routes: () => WebRouteTable;
  readonly authenticators: () => readonly WebAuthenticator[];
  readonly isReady: () => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits?: Partial<WebLimits>;
}

/** HTTP/1.1 over TLS 1.3 on connections that others accept. HTTP/2 is gRPC's: a browser that offers both gets this. */
export class WebServer implements WebDoor {
  readonly #limits: WebLimits;
  readonly #connections: ConnectionCount;
  readonly #limiter: AnonymousCallLimiter;
  #open: Open | null = null;
  #isDraining = false;

  constructor(private readonly parts: WebServerParts) {
    this.#limits = { ...DEFAULT_LIMITS, ...parts.limits };
    const { connections: total, connectionsPerAddress: perAddress, requestsPerAddress } = this.#limits;
    this.#connections = new ConnectionCount({ total, perAddress });
    this.#limiter = new AnonymousCallLimiter(requestsPerAddress, parts.clock);
  }

  /** Open connections, those in the TLS handshake among them. */
  get connections(): number {
    return this.#connections.total;
  }

  get publicOrigin(): string | null {
    return this.#open === null ? null : `https://${this.#open.settings.publicAddress.replace(/:443$/, "")}`;
  }

  async open(settings: WebDoorSettings): Promise<void> {
    const { logger } = this.parts;
    const files = settings.certificateFiles === null ? null : new CertificateFiles(settings.certificateFiles, logger);
    const certificate = (): WebCertificate => files?.current() ?? settings.certificate();
    const server = this.#makeServer(certificate());
    this.#open = { settings, files, server, certificate, names: namesOf(certificate(), settings) };
    files?.watch(() => this.refresh());
  }

  accept(connection: Socket): void {
    if (this.#open === null || this.#isDraining || !this.#connections.admit(connection)) return void connection.destroy();
    connection.allowHalfOpen = false;
    connection.on("error", () => connection.destroy());
    this.#open.server.emit("connection", connection);
  }

  refresh(): void {
    const open = this.#open;
    if (open === null) return;
    const certificate = open.certificate();
    open.server.setSecureContext(contextOf(certificate));
    open.names = namesOf(certificate, open.settings);
  }

  async drain(): Promise<void> {
    const open = this.#open;
    if (open === null) return;
    this.#isDraining = true;
    open.server.closeIdleConnections();
    while (this.#connections.total > 0 && this.#answering.size > 0)
      await once([...this.#answering][0] as ServerResponse, "close");
    this.#connections.destroyAll();
  }

  close(): void {
    this.#open?.files?.close();
    this.#open?.server.close(() => undefined); // ends its timer; it never listened
    this.#connections.destroyAll();
    this.#open = null;
  }

  readonly #answering = new Set<ServerResponse>();

  #makeServer(certificate: WebCertificate): Server {
    const limits = this.#limits;
    const server = createServer({
      ...contextOf(certificate),
      ALPNProtocols: ["http/1.1"],
      handshakeTimeout: limits.headSeconds * 1000,
      headersTimeout: limits.headSeconds * 1000,
      requestTimeout: limits.requestSeconds * 1000,
      keepAliveTimeout: limits.keepAliveSeconds * 1000,
      connectionsCheckingInterval: Math.min(1000, limits.headSeconds * 500),
      maxHeaderSize: limits.headBytes,
      insecureHTTPParser: false,
      requireHostHeader: false, // refused with the others, see WebExchange
      noDelay: true,
    });
    server.maxHeadersCount = MAX_HEADERS;
    server.maxRequestsPerSocket = limits.requestsPerConnection;
    server.setTimeout(limits.silentSeconds * 1000, (socket) => socket.destroy());
    server.on("tlsClientError", (_error, socket) => socket.destroy());
    server.on("request", (incoming, outgoing) => this.#serve(incoming, outgoing));
    server.on("checkContinue", (incoming, outgoing) => this.#serve(incoming, outgoing));
    server.emit("listening"); // it never does, but its watch over slow clients begins with this
    return server;
  }

  #serve(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const open = this.#open;
    if (open === null) return void incoming.destroy();
    this.#answering.add(outgoing);
    outgoing.once("close", () => this.#answering.delete(outgoing));
    if (this.#isDraining) outgoing.setHeader("connection", "close");
    const { routes, authenticators, isReady, logger } = this.parts;
    const { handlerSeconds } = this.#limits;
    const parts = {
      routes,
      authenticators,
      isReady,
      logger,
      handlerSeconds,
      limiter: this.#limiter,
      hostNames: () => open.names,
    };
    void new WebExchange(parts, incoming, outgoing).run();
  }
}

// --- internal ---

const DEFAULT_LIMITS: WebLimits = {
  headSeconds: 10,
  requestSeconds: 30,
  silentSeconds: 60,
  keepAliveSeconds: 15,
  handlerSeconds: 30,
  headBytes: 16_384,
  requestsPerConnection: 1000,
  connections: 2000,
  connectionsPerAddress: 200,
  requestsPerAddress: { burst: 300, perSecond: 50 },
};

interface Open {
  readonly settings: WebDoorSettings;
  readonly files: CertificateFiles | null;
  readonly server: Server;
  readonly certificate: () => WebCertificate;
  names: HostNames;
}

function contextOf({ certificatePem, privateKeyPem }: WebCertificate) {
  return { cert: certificatePem, key: privateKeyPem.expose(), minVersion: "TLSv1.3" as const };
}

function namesOf({ certificatePem }: WebCertificate, { publicAddress }: WebDoorSettings): HostNames {
  return new HostNames(certificatePem, [publicAddress.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1")]);
}
