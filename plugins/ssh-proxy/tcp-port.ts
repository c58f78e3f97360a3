import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { MezError } from "../../core/errors/error.js";
import { systemReason } from "../../core/errors/system-reason.js";
import { lendingSocket } from "../../core/flow/lending-socket.js";
import type { ListenAddress } from "./listen-address.js";

/** A TCP port that hands each connection on. */
export class TcpPort {
  readonly #server: Server;

  constructor(
    /** Key in the config file, for messages. */
    private readonly key: string,
    private readonly listenAddress: ListenAddress,
    onConnection: (socket: Socket) => void,
  ) {
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => onConnection(lendingSocket(socket)));
  }

  /**
   * @returns Where it listens, `host:port`.
   * @throws {MezError} `ADDRESS_IN_USE`, `ADDRESS_UNUSABLE`
   */
  async listen(): Promise<string> {
    const { host, port } = this.listenAddress;
    try {
      this.#server.listen({ port, backlog: 4096, ...(host === null ? {} : { host }) });
      await once(this.#server, "listening");
    } catch (cause) {
      throw failure(this.key, `${host ?? ""}:${port}`, cause as NodeJS.ErrnoException);
    }
    this.#server.on("error", () => undefined); // a connection that could not be accepted; the port goes on
    return this.address;
  }

  /** `host:port`. */
  get address(): string {
    const { address, port, family } = this.#server.address() as AddressInfo;
    return family === "IPv6" ? `[${address}]:${port}` : `${address}:${port}`;
  }

  /** Takes no new connections; those that are there go on. */
  close(): void {
    if (this.#server.listening) this.#server.close();
  }
}

// --- internal ---

function failure(key: string, address: string, cause: NodeJS.ErrnoException): MezError {
  if (cause.code === "EADDRINUSE")
    return new MezError("ADDRESS_IN_USE", `address ${address} is in use by another process; stop it or change proxy.${key}`);
  return new MezError("ADDRESS_UNUSABLE", `proxy.${key}: cannot listen on ${address}: ${systemReason(cause)}`, { cause });
}
