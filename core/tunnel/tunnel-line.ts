import type { Socket } from "node:net";
import { Turnstile } from "../flow/turnstile.js";

const MAX_HELLO_BYTES = 16 * 1024; // RFC 8446, 5.1: of one record

/**
 * The agents that want a tunnel and wait for the proxy to begin: after a restart of it all of them, for longer than a handshake may
 * take. Nothing is done for one that waits but to notice that it gives up.
 */
export class TunnelLine {
  readonly #turnstile: Turnstile;
  readonly #sockets = new Set<Socket>();

  /** @param limits How many may wait, and how many of one network may be in the handshake at once. */
  constructor({ room, underWay }: { readonly room: number; readonly underWay: number }) {
    this.#turnstile = new Turnstile({ perNetwork: underWay, room: () => room });
  }

  /** How many wait. */
  get length(): number {
    return this.#turnstile.waiting;
  }

  /**
   * Calls `begin` when it is the socket's turn, with all that was read of it put back.
   * @param read The beginning of its TLS, and all that has been read.
   * @param begin To call `over` when the handshake is over.
   */
  wait(socket: Socket, read: Buffer, begin: (over: () => void) => void): void {
    let hello = read;
    const take = () => {
      const chunk: Buffer | null = socket.read();
      if (chunk !== null) hello = Buffer.concat([hello, chunk]);
      if (hello.length > MAX_HELLO_BYTES) socket.destroy();
    };
    const giveUp = () => void socket.destroy();
    socket.on("readable", take).once("end", giveUp);
    this.#sockets.add(socket);
    const leave = this.#turnstile.enter(socket.remoteAddress ?? "unknown", {
      begin: (over) => {
        this.#sockets.delete(socket);
        socket.off("readable", take).off("end", giveUp).once("close", over);
        socket.unshift(hello);
        begin(over);
      },
      refuse: giveUp,
      hasSpoken: () => true,
    });
    socket.once("close", () => {
      this.#sockets.delete(socket);
      leave();
    });
  }

  closeAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
