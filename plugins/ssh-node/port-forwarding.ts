import { connect, createServer, type Server } from "node:net";
import { messageOf } from "../../core/errors/error.js";
import type { ConnectionHandlers, DirectTcpipRequest, TcpipForwardRequest } from "../../core/ssh/server-connection.js";
import { relay } from "../../core/tunnel/relay.js";
import type { NodeSession } from "./node-session.js";

/** `ssh -L`, `-D`, `-W` and `-R` for TCP. Remote forwards listen on loopback only, as sshd's do. */
export class PortForwarding {
  readonly #listeners = new Map<string, readonly Server[]>();
  readonly #told = new Set<string>();
  readonly #boundPorts = new WeakMap<object, number>();

  constructor(private readonly session: NodeSession) {}

  handlers(): ConnectionHandlers {
    return {
      directTcpip: (request) => this.#connect(request),
      tcpipForward: (request) => void this.#listen(request),
      cancelTcpipForward: (address, port) => this.#cancel(keyOf(address, port)),
    };
  }

  close(): void {
    for (const key of [...this.#listeners.keys()]) this.#cancel(key);
  }

  #connect(request: DirectTcpipRequest): void {
    const { host, port } = request;
    this.#tell("local", `${host}:${port}`);
    const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
    socket.once("error", (error) => request.reject(messageOf(error)));
    socket.once("connect", () => {
      socket.on("error", () => undefined);
      const channel = request.accept();
      if (channel === null) socket.destroy();
      else void relay(socket, channel);
    });
  }

  async #listen(request: TcpipForwardRequest): Promise<void> {
    const { address, port } = request;
    const { account } = this.session.connection.identity;
    const isOurs = !this.#listeners.has(keyOf(address, port)) && this.#listeners.size < MAX_LISTENERS;
    if (!isOurs || (port !== 0 && port < FIRST_FREE_PORT && account.uid !== 0)) return request.reject();
    try {
      const first = this.#server(request);
      const boundPort = await listening(first, "127.0.0.1", port);
      const second = this.#server({ address, port: boundPort });
      const servers = await listening(second, "::1", boundPort).then(
        () => [first, second],
        () => [first],
      );
      this.#listeners.set(keyOf(address, boundPort), servers);
      if (this.session.connection.isClosed) return this.close();
      this.#tell("remote", `${boundPort}`);
      this.#boundPorts.set(request, boundPort);
      request.accept(boundPort);
    } catch {
      request.reject();
    }
  }

  #server(request: { readonly address: string; readonly port: number }): Server {
    return createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => {
      socket.on("error", () => undefined);
      const bound = { address: request.address, port: this.#boundPorts.get(request) ?? request.port };
      const origin = { address: socket.remoteAddress ?? "127.0.0.1", port: socket.remotePort ?? 0 };
      this.session.connection.forwardTcpip(bound, origin).then(
        (channel) => void relay(socket, channel),
        () => socket.destroy(),
      );
    });
  }

  #cancel(key: string): void {
    for (const server of this.#listeners.get(key) ?? []) server.close();
    this.#listeners.delete(key);
  }

  /** Each target once: a browser behind `-D` opens hundreds. */
  #tell(direction: "local" | "remote", target: string): void {
    const key = `${direction} ${target}`;
    if (this.#told.has(key) || this.#told.size >= MAX_TOLD) return;
    this.#told.add(key);
    this.session.audit({ type: "session.forward", metadata: { direction, target } });
  }
}

// --- internal ---

const MAX_LISTENERS = 100;
const MAX_TOLD = 1_000;
const FIRST_FREE_PORT = 1024;

function keyOf(address: string, port: number): string {
  return `${address} ${port}`;
}

function listening(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.removeListener("error", reject).on("error", () => undefined);
      const bound = server.address();
      resolve(typeof bound === "object" && bound !== null ? bound.port : port);
    });
  });
}
