import { BackOff } from "../time/back-off.js";

/**
 * When a client that was told one address alone connects anew, since the server that it reached serves nobody: a balancer may have
 * another one. At once the first times, then ever more rarely: a cluster that has lost its database is not to spend itself on handshakes.
 */
export class ConnectAnew {
  readonly #backOff: BackOff;
  #left: number;
  #notBeforeMs = 0;

  /** @param atOnce How many times before it waits. */
  constructor(
    private readonly atOnce: number,
    private readonly nowMs: () => number = () => performance.now(),
    random: () => number = Math.random,
  ) {
    this.#left = atOnce;
    this.#backOff = new BackOff(FIRST_SECONDS, MOST_SECONDS, random);
  }

  /** Whether it does so now; then it has. */
  may(): boolean {
    const now = this.nowMs();
    if (this.#left > 0) this.#left -= 1;
    else if (now < this.#notBeforeMs) return false;
    if (this.#left === 0) this.#notBeforeMs = now + this.#backOff.nextSeconds() * 1000;
    return true;
  }

  /** A server has answered. */
  served(): void {
    this.#left = this.atOnce;
    this.#notBeforeMs = 0;
    this.#backOff.reset();
  }
}

// --- internal ---

const FIRST_SECONDS = 2;
const MOST_SECONDS = 60;
