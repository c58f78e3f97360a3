/** Which way a forwarding leads: from the client to the node's side, or back. */
export type ForwardDirection = "local" | "remote";

/** Tells where the forwardings of one session lead, each target once: a browser behind `-D` opens hundreds. */
export class ForwardTargets {
  readonly #told = new Set<string>();

  /** @param tell Called for each target that is new, and once in place of all beyond the thousandth. */
  constructor(private readonly tell: (direction: ForwardDirection, target: string) => void) {}

  /** @param target `host:port`, a port, or a path. */
  add(direction: ForwardDirection, target: string): void {
    const key = `${direction} ${target}`;
    if (this.#told.has(key) || this.#told.size > MAX_TOLD) return;
    this.#told.add(key);
    const isTooMany = this.#told.size > MAX_TOLD;
    this.tell(direction, isTooMany ? `more than ${MAX_TOLD} targets; no further ones of this session are listed` : target);
  }
}

// --- internal ---

const MAX_TOLD = 1_000;
