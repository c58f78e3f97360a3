import type { Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { type TunnelCredentials, tunnelServerTlsOptions } from "../../core/tunnel/tunnel-protocol.js";

/** ALPN name of SSH inside of TLS, for networks that let nothing but TLS through. */
export const SSH_ALPN = "mezite-ssh";

const HANDSHAKE_TIMEOUT_MS = 10_000;

/** Ends the TLS of clients that wrap SSH in it, with the proxy's host certificate; who they are is for SSH to find out. */
export class TlsUnwrapper {
  readonly #server: Server;

  constructor(credentials: TunnelCredentials, onStream: (stream: TLSSocket) => void) {
    this.#server = createServer({
      ...tunnelServerTlsOptions(credentials),
      ALPNProtocols: [SSH_ALPN],
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    });
    this.#server.on("tlsClientError", (_error, socket) => socket.destroy());
    this.#server.on("secureConnection", (stream) => onStream(stream.on("error", () => stream.destroy())));
  }

  /** Takes a TCP connection whose first bytes have been put back. */
  accept(socket: Socket): void {
    this.#server.emit("connection", socket);
  }

  use(credentials: TunnelCredentials): void {
    this.#server.setSecureContext(tunnelServerTlsOptions(credentials));
  }
}
