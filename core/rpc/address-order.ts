import { connect } from "node:net";
import { parseHostPort } from "./address.js";

/** In which order several servers are tried: as configured, from the one on that has not failed last. */
export class AddressOrder {
  #first = 0;

  constructor(private readonly addresses: readonly string[]) {}

  all(): readonly string[] {
    return [...this.addresses.slice(this.#first), ...this.addresses.slice(0, this.#first)];
  }

  /** Others come before this address from now on. */
  failed(address: string): void {
    const index = this.addresses.indexOf(address);
    if (index !== -1) this.#first = (index + 1) % this.addresses.length;
  }
}

/** Whether something listens at `host:port`; whatever does not answer within three seconds does not. */
export function isReachable(address: string): Promise<boolean> {
  const { host, port } = parseHostPort(address);
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(REACH_TIMEOUT_MS, () => end(false));
    socket.once("connect", () => end(true)).once("error", () => end(false));
  });
}

// --- internal ---

const REACH_TIMEOUT_MS = 3_000;
