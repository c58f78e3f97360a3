const MAX_DOUBLINGS = 1;

/**
 * How long an agent waits for the answer of a proxy that took its connection: a proxy that came back has all agents at its door, and
 * whoever asks anew all the time makes the others wait longer. Twice as long when none came the time before.
 */
export class DialPatience {
  #silent = 0;

  constructor(private readonly firstSeconds: number) {}

  get seconds(): number {
    return this.firstSeconds * 2 ** Math.min(this.#silent, MAX_DOUBLINGS);
  }

  /** It was waited for in vain. */
  silent(): void {
    this.#silent += 1;
  }

  /** It answered, or could not be reached at all. */
  heard(): void {
    this.#silent = 0;
  }
}
