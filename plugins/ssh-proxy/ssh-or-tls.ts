import type { Socket } from "node:net";

/** Who serves what; each gets the connection as if nothing had been read of it. */
export interface SshOrTlsServers {
  readonly ssh: (socket: Socket) => void;
  readonly tls: (socket: Socket) => void;
}

/**
 * Tells TLS from SSH by the first byte. Clients of TLS speak first, and so do most of SSH: one that says nothing for a
 * moment is served SSH, since it waits for the server's version line.
 */
export class SshOrTls {
  /** In order of arrival. */
  readonly #silent = new Map<Socket, () => void>();

  constructor(
    private readonly servers: SshOrTlsServers,
    private readonly patienceMs = 1_000,
    /** More than these are not waited for. */
    private readonly maxSilent = 1_000,
  ) {}

  accept(socket: Socket): void {
    const settle = (): void => {
      clearTimeout(patience);
      this.#silent.delete(socket);
      socket.off("readable", read).off("end", abandon).off("close", settle);
    };
    const serveSsh = (): void => {
      settle();
      this.servers.ssh(socket);
    };
    const read = (): void => {
      const chunk: Buffer | null = socket.read();
      if (chunk === null) return;
      settle();
      socket.unshift(chunk);
      if (chunk[0] === TLS_HANDSHAKE) this.servers.tls(socket);
      else this.servers.ssh(socket);
    };
    const abandon = (): void => void socket.destroy();
    const patience = setTimeout(serveSsh, this.patienceMs).unref();
    this.#silent.set(socket, serveSsh);
    socket.on("error", abandon).once("close", settle).once("end", abandon).on("readable", read);
    for (const [, serve] of this.#silent) {
      if (this.#silent.size <= this.maxSilent) break;
      serve();
    }
  }

  /** Closes those that have said nothing. */
  close(): void {
    for (const socket of this.#silent.keys()) socket.destroy();
  }
}

// --- internal ---

const TLS_HANDSHAKE = 22; // RFC 8446, 5.1
