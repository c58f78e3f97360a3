import { createHash, X509Certificate } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { MezError } from "../errors/error.js";
import { systemReason } from "../errors/system-reason.js";
import type { HostCredentials } from "../plugin/host-identity.js";
import { parseHostPort } from "./address.js";

const HANDSHAKE_TIMEOUT_MS = 10_000;
const MAX_CONNECTIONS = 20_000;

/** What the server knows of a client connection besides its bytes. */
export interface ConnectionFacts {
  readonly address: string;
  /** DER of a client certificate that chains to the Host CA and is within its dates. */
  readonly clientCertificate: Buffer | null;
  /** DER of any other client certificate; the client has proved to hold its key, nothing else is checked. */
  readonly foreignCertificate: Buffer | null;
  /** SHA-256 over the DER of the certificate that this connection was served with. */
  readonly serverFingerprint: Buffer;
}

/**
 * Accepts TLS 1.3 connections for the gRPC server. A client certificate is asked for, not demanded: joining and logging
 * in come before one exists. One that does not chain to the Host CA is left to whoever knows its authority.
 */
export class RpcListener {
  readonly #server: Server;
  readonly #facts = new Map<string, ConnectionFacts>();
  readonly #sockets = new Set<TLSSocket>();

  constructor(credentials: HostCredentials, onConnection: (socket: TLSSocket) => void) {
    this.#server = createServer({
      ...contextOf(credentials),
      minVersion: "TLSv1.3",
      requestCert: true,
      rejectUnauthorized: false,
      ALPNProtocols: ["h2"],
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      noDelay: true,
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.on("tlsClientError", (_error, socket) => socket.destroy());
    this.#server.on("secureConnection", (socket) => {
      this.#remember(socket);
      onConnection(socket);
    });
  }

  /** @throws {MezError} `ADDRESS_IN_USE` */
  async listen(address: string): Promise<string> {
    const { host, port } = parseHostPort(address);
    try {
      this.#server.listen({ host, port, backlog: 1024 });
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

  /** Serves new connections with these. Those under way keep theirs, but client certificates of a CA that went are worth nothing any more. */
  use(credentials: HostCredentials): void {
    this.#server.setSecureContext({ ...contextOf(credentials), minVersion: "TLSv1.3" });
    const authorities = credentials.trustPem.map((pem) => new X509Certificate(pem).publicKey);
    for (const [peer, facts] of this.#facts) {
      const { clientCertificate } = facts;
      if (clientCertificate === null) continue;
      const certificate = new X509Certificate(clientCertificate);
      if (!authorities.some((key) => certificate.verify(key))) this.#facts.set(peer, { ...facts, clientCertificate: null });
    }
  }

  /** @param peer `address:port` of a live connection, as gRPC names it. */
  facts(peer: string): ConnectionFacts | undefined {
    return this.#facts.get(peer);
  }

  async close(): Promise<void> {
    const closed = this.#server.listening ? once(this.#server, "close") : Promise.resolve();
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #remember(socket: TLSSocket): void {
    const peer = `${socket.remoteAddress}:${socket.remotePort}`;
    const own = socket.getCertificate();
    const presented = socket.getPeerX509Certificate()?.raw ?? null;
    this.#sockets.add(socket);
    this.#facts.set(peer, {
      address: plainAddress(socket.remoteAddress ?? ""),
      clientCertificate: socket.authorized ? presented : null,
      foreignCertificate: socket.authorized ? null : presented,
      serverFingerprint: createHash("sha256")
        .update((own as { raw?: Buffer } | null)?.raw ?? "")
        .digest(),
    });
    socket.on("error", () => socket.destroy());
    socket.once("close", () => {
      this.#sockets.delete(socket);
      this.#facts.delete(peer);
    });
  }
}

/** Takes the IPv4 address out of `::ffff:192.0.2.7`. */
export function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice("::ffff:".length) : address;
}

// --- internal ---

function contextOf(credentials: HostCredentials): { key: string; cert: string; ca: string[] } {
  return { key: credentials.privateKeyPem.expose(), cert: credentials.certificatePem, ca: [...credentials.trustPem] };
}
