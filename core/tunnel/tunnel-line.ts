import type { Socket } from "node:net";
import { HeldOpening } from "../door/held-opening.js";
import { type TurnedAway, Turnstile } from "../door/turnstile.js";

/**
 * The agents that want a tunnel and wait for the proxy to begin: after a restart of it all of them, for longer than a handshake may
 * take. Nothing is done for one that waits but to notice that it gives up.
 */
export class TunnelLine {
  readonly #turnstile: Turnstile;
  readonly #sockets = new Set<Socket>();

  /**
   * @param limits How many may wait, and how many of one network may be in the handshake at once.
   * @param onRefused Told of each that is closed before its turn, and why.
   */
  constructor(
    { room, underWay }: { readonly room: number; readonly underWay: number },
    private readonly onRefused: (socket: Socket, why: TurnedAway) => void,
  ) {
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
    const opening = new HeldOpening(socket, read);
    const gone = (): void => {
      this.#sockets.delete(socket);
      leave();
    };
    this.#sockets.add(socket);
    socket.once("close", gone);
    const leave = this.#turnstile.enter(socket.remoteAddress ?? "unknown", {
      begin: (over) => {
        this.#sockets.delete(socket);
        socket.off("close", gone).once("close", over);
        opening.release();
        begin(over);
      },
      refuse: (why) => {
        this.onRefused(socket, why);
        socket.destroy();
      },
      hasSpoken: () => true,
    });
  }

  closeAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
