import type { Socket } from "node:net";
import { messageOf } from "../../core/errors/error.js";
import type { ConnectionHandlers, DirectStreamlocalRequest, StreamlocalForwardRequest } from "../../core/ssh/client-requests.js";
import type { ForwardTargets } from "../../core/ssh/forward-targets.js";
import { relay } from "../../core/tunnel/relay.js";
import type { NodeSession } from "./node-session.js";
import type { OsAccount } from "./os-account.js";
import { type UserSockets, userSocketsOf } from "./user-sockets.js";

/** `ssh -L` and `-R` with unix sockets, opened and made with the rights of the login. */
export class SocketForwarding {
  readonly #listeners = new Map<string, () => void>();
  /** Asked for, and not listened on yet. */
  #pending = 0;
  #sockets: UserSockets | null = null;

  constructor(
    private readonly session: NodeSession,
    private readonly account: OsAccount,
    private readonly targets: ForwardTargets,
  ) {}

  handlers(): ConnectionHandlers {
    return {
      directStreamlocal: (request) => void this.#connect(request),
      streamlocalForward: (request) => void this.#listen(request),
      cancelStreamlocalForward: (path) => this.#cancel(path),
    };
  }

  close(): void {
    for (const path of [...this.#listeners.keys()]) this.#cancel(path);
    this.#sockets?.close();
  }

  get #opener(): UserSockets {
    this.#sockets ??= userSocketsOf(this.account);
    return this.#sockets;
  }

  async #connect(request: DirectStreamlocalRequest): Promise<void> {
    if (!isUsable(request.socketPath)) return request.reject("the path of a socket is absolute and at most 107 bytes long");
    this.targets.add("local", request.socketPath);
    try {
      const socket = await this.#opener.connect(request.socketPath);
      const channel = request.accept();
      if (channel === null) socket.destroy();
      else void relay(socket, channel);
    } catch (error) {
      request.reject(messageOf(error));
    }
  }

  async #listen(request: StreamlocalForwardRequest): Promise<void> {
    const { socketPath } = request;
    const isOurs = !this.#listeners.has(socketPath) && this.#listeners.size + this.#pending < MAX_LISTENERS;
    if (!isOurs || !isUsable(socketPath)) return request.reject();
    this.#pending += 1;
    try {
      const stop = await this.#opener.listen(socketPath, (socket) => this.#forward(socketPath, socket));
      this.#listeners.set(socketPath, stop);
      if (this.session.connection.isClosed) return this.close();
      this.targets.add("remote", socketPath);
      request.accept();
    } catch {
      request.reject();
    } finally {
      this.#pending -= 1;
    }
  }

  #forward(socketPath: string, socket: Socket): void {
    socket.on("error", () => undefined);
    this.session.connection.forwardStreamlocal(socketPath).then(
      (channel) => void relay(socket, channel),
      () => socket.destroy(),
    );
  }

  #cancel(path: string): void {
    this.#listeners.get(path)?.();
    this.#listeners.delete(path);
  }
}

// --- internal ---

const MAX_LISTENERS = 100;
const MAX_PATH_BYTES = 107; // sun_path of unix(7), without its NUL

function isUsable(path: string): boolean {
  return path.startsWith("/") && !path.includes("\0") && Buffer.byteLength(path) <= MAX_PATH_BYTES;
}
