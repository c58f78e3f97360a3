import type { Socket } from "node:net";
import { NetworkShares } from "../rpc/network-shares.js";

export interface ConnectionCaps {
  readonly total: number;
  /** See `networkOf`. */
  readonly perAddress: number;
}

/** Counts open connections, so that neither one address nor all together take more than their share. */
export class ConnectionCount {
  readonly #open = new Set<Socket>();
  readonly #shares: NetworkShares;

  constructor(private readonly caps: ConnectionCaps) {
    this.#shares = new NetworkShares(caps.perAddress);
  }

  get total(): number {
    return this.#open.size;
  }

  /** @returns False when there are too many; nothing is counted then. */
  admit(socket: Socket): boolean {
    if (this.#open.size >= this.caps.total) return false;
    const giveBack = this.#shares.take(socket.remoteAddress ?? "");
    if (giveBack === null) return false;
    this.#open.add(socket);
    socket.once("close", () => {
      this.#open.delete(socket);
      giveBack();
    });
    return true;
  }

  destroyAll(): void {
    for (const socket of this.#open) socket.destroy();
  }
}
