import type { Socket } from "node:net";
import type { Logger } from "../../core/plugin/logger.js";
import { BARE_STREAM_MAGIC } from "../../core/tunnel/bare-stream.js";
import { DIRECT_ALPN } from "../../core/tunnel/direct-route.js";
import { PendingConnections } from "../../core/tunnel/pending-connections.js";
import { PEER_ALPN, STREAM_ALPN, TUNNEL_ALPN } from "../../core/tunnel/tunnel-protocol.js";
import type { ListenAddress } from "./listen-address.js";
import { type HelloReading, readClientHello } from "./public-port-client-hello.js";
import { SSH_ALPN } from "./public-port-tls.js";
import { TcpPort } from "./tcp-port.js";

/** Who serves what; each gets the connection as if nothing had been read of it. */
export interface PublicPortServers {
  readonly ssh: (socket: Socket) => void;
  readonly sshInTls: (socket: Socket) => void;
  readonly direct: (socket: Socket) => void;
  readonly tunnel: (socket: Socket) => void;
  readonly rpc: (socket: Socket) => void;
  readonly web: (socket: Socket) => void;
}

export interface PublicPortParts {
  readonly listen: ListenAddress;
  readonly servers: PublicPortServers;
  readonly logger: Logger;
  /** How long a client may take to say what it speaks. Default 10. */
  readonly graceSeconds?: number;
  /** Connections that have not said it yet, see `PendingConnections`. Default 8192, since all agents may dial at once. */
  readonly maxPending?: number;
}

/**
 * One port for everything, told apart by the first bytes: SSH's version line, or the ALPN list of a TLS ClientHello. TLS is
 * not ended here. A client that says nothing, or something else, is closed: SSH clients speak first.
 */
export class PublicPort {
  readonly #port: TcpPort;
  readonly #pending: PendingConnections;
  #accepted = 0;

  constructor(private readonly parts: PublicPortParts) {
    this.#pending = new PendingConnections(parts.maxPending ?? 8_192);
    this.#port = new TcpPort("public_listen_addr", parts.listen, (socket) => this.#receive(socket));
  }

  /** @throws {MezError} `ADDRESS_IN_USE`, `ADDRESS_UNUSABLE` */
  listen(): Promise<string> {
    return this.#port.listen();
  }

  /** `host:port`. */
  get address(): string {
    return this.#port.address;
  }

  /** Connections that have not been told apart yet. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  /** Takes no new connections; those that were handed on are not ours. */
  close(): void {
    this.#port.close();
    this.#pending.closeAll();
  }

  #receive(socket: Socket): void {
    const { graceSeconds = 10 } = this.parts;
    this.#accepted += 1;
    const id = String(this.#accepted);
    const abandon = (): void => void socket.destroy();
    socket.on("error", abandon);
    const pending = this.#pending.add(id, socket);
    if (pending === null) return;
    let bytes = Buffer.alloc(0);
    const grace = setTimeout(() => socket.destroy(), graceSeconds * 1000);
    const settle = (): void => {
      clearTimeout(grace);
      this.#pending.delete(id);
      socket.off("readable", read).off("end", abandon);
    };
    const read = (): void => {
      const chunk: Buffer | null = socket.read();
      if (chunk === null) return;
      pending.speaks = true;
      bytes = Buffer.concat([bytes, chunk]);
      const found = recognise(bytes);
      if (found === "incomplete") return;
      settle();
      this.#handOver(socket, bytes, found);
    };
    socket.once("close", settle).once("end", abandon).on("readable", read);
  }

  #handOver(socket: Socket, bytes: Buffer, found: Recognised): void {
    const { servers, logger } = this.parts;
    if (found === "none") {
      logger.debug("a client of the public port speaks nothing that is served here", { address: socket.remoteAddress });
      if (bytes[0] === TLS_HANDSHAKE) socket.end(NO_APPLICATION_PROTOCOL, () => socket.destroy());
      else socket.destroy();
      return;
    }
    socket.unshift(bytes);
    servers[found](socket);
  }
}

/** Server for a client whose TLS offers these protocols, by their ALPN names; without a list it speaks HTTP/1.1. */
export function serverForAlpn(protocols: readonly string[]): keyof PublicPortServers | "none" {
  if (protocols.length === 0) return "web";
  return ALPN_SERVERS.find(([name]) => protocols.includes(name))?.[1] ?? "none";
}

// --- internal ---

type Recognised = keyof PublicPortServers | "none";

/** In order of preference, should a client offer several: browsers offer h2 as well, clients of gRPC offer nothing else. */
const ALPN_SERVERS = [
  ["http/1.1", "web"],
  ["h2", "rpc"],
  [TUNNEL_ALPN, "tunnel"],
  [STREAM_ALPN, "tunnel"],
  [PEER_ALPN, "tunnel"],
  [SSH_ALPN, "sshInTls"],
  [DIRECT_ALPN, "direct"],
] as const;

const TLS_HANDSHAKE = 22;
const SSH_VERSION = Buffer.from("SSH-"); // RFC 4253, 4.2
/** A fatal alert, RFC 7301, 3.2: the client can say why it failed. */
const NO_APPLICATION_PROTOCOL = Buffer.from([21, 3, 3, 0, 2, 2, 120]);

function recognise(bytes: Buffer): Recognised | "incomplete" {
  if (bytes[0] === TLS_HANDSHAKE) return recogniseTls(readClientHello(bytes));
  if (bytes[0] === BARE_STREAM_MAGIC[0]) return recogniseStart(bytes, BARE_STREAM_MAGIC, "tunnel");
  return recogniseStart(bytes, SSH_VERSION, "ssh");
}

function recogniseStart(bytes: Buffer, expected: Buffer, server: Recognised): Recognised | "incomplete" {
  const start = bytes.subarray(0, expected.length);
  if (!expected.subarray(0, start.length).equals(start)) return "none";
  return start.length === expected.length ? server : "incomplete";
}

function recogniseTls(reading: HelloReading): Recognised | "incomplete" {
  if (reading.kind === "incomplete") return "incomplete";
  return reading.kind === "malformed" ? "none" : serverForAlpn(reading.protocols);
}
