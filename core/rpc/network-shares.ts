import { networkOf } from "../plugin/client-network.js";

/** Counts what each network has, see `networkOf`, so that none takes more than its share. */
export class NetworkShares {
  readonly #taken = new Map<string, number>();

  constructor(private readonly perNetwork: number) {}

  /** @returns The way to give it back, which works once; `null` when the network has its share. */
  take(address: string): (() => void) | null {
    const network = networkOf(address);
    const own = this.#taken.get(network) ?? 0;
    if (own >= this.perNetwork) return null;
    this.#taken.set(network, own + 1);
    let isTaken = true;
    return () => {
      if (isTaken) this.#giveBack(network);
      isTaken = false;
    };
  }

  #giveBack(network: string): void {
    const left = (this.#taken.get(network) ?? 1) - 1;
    if (left === 0) this.#taken.delete(network);
    else this.#taken.set(network, left);
  }
}
