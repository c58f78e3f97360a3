import { connect, createServer, type Server } from "node:net";
import { messageOf } from "../../core/errors/error.js";
import type { ConnectionHandlers, DirectTcpipRequest, TcpipForwardRequest } from "../../core/ssh/client-requests.js";
import type { ForwardTargets } from "../../core/ssh/forward-targets.js";
import { relay } from "../../core/tunnel/relay.js";
import type { NodeSession } from "./node-session.js";

/** `ssh -L`, `-D`, `-W` and `-R` for TCP. Remote forwards listen on loopback only, as sshd's do. */
export class PortForwarding {
  readonly #listeners = new Map<string, readonly Server[]>();
  readonly #boundPorts = new WeakMap<object, number>();

  /** Asked for, and not listened on yet. */
  #pending = 0;

  constructor(
    private readonly session: NodeSession,
    private readonly targets: ForwardTargets,
  ) {}

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
    if (port < 1 || port > MAX_PORT) return request.reject(`port ${port} is none`);
    this.targets.add("local", `${host}:${port}`);
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
    const isOurs = !this.#listeners.has(keyOf(address, port)) && this.#listeners.size + this.#pending < MAX_LISTENERS;
    if (!isOurs || (port !== 0 && port < FIRST_FREE_PORT && account.uid !== 0)) return request.reject();
    this.#pending += 1;
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
      this.targets.add("remote", `${boundPort}`);
      this.#boundPorts.set(request, boundPort);
      request.accept(boundPort);
    } catch {
      request.reject();
    } finally {
      this.#pending -= 1;
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
}

// --- internal ---

const MAX_LISTENERS = 100;
const MAX_PORT = 65_535;
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
