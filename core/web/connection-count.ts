import type { Socket } from "node:net";
import { networkOf } from "../plugin/client-network.js";

export interface ConnectionCaps {
  readonly total: number;
  /** See `networkOf`. */
  readonly perAddress: number;
}

/** Counts open connections, so that neither one address nor all together take more than their share. */
export class ConnectionCount {
  readonly #open = new Set<Socket>();
  readonly #byAddress = new Map<string, number>();

  constructor(private readonly caps: ConnectionCaps) {}

  get total(): number {
    return this.#open.size;
  }

  /** @returns False when there are too many; nothing is counted then. */
  admit(socket: Socket): boolean {
    const address = networkOf(socket.remoteAddress ?? "");
    const own = this.#byAddress.get(address) ?? 0;
    if (this.#open.size >= this.caps.total || own >= this.caps.perAddress) return false;
    this.#open.add(socket);
    this.#byAddress.set(address, own + 1);
    socket.once("close", () => this.#leave(socket, address));
    return true;
  }

  destroyAll(): void {
    for (const socket of this.#open) socket.destroy();
  }

  #leave(socket: Socket, address: string): void {
    this.#open.delete(socket);
    const left = (this.#byAddress.get(address) ?? 1) - 1;
    if (left === 0) this.#byAddress.delete(address);
    else this.#byAddress.set(address, left);
  }
}
