import type { DestinationStream } from "pino";

const SAYS_LEVEL: unique symbol = Symbol.for("pino.metadata");
const WARN_LEVEL = 40; // pino, levels
const MAX_GATHERED_LENGTH = 64 * 1024;

/**
 * Writes what is logged in one turn of the event loop together, in its order: one system call for what may be a hundred lines when
 * many agents connect. A warning or an error is written at once, with all before it, and the rest when the process exits.
 */
export class LogLines implements DestinationStream {
  /** Has pino say how grave a line is, in `lastLevel`. */
  readonly [SAYS_LEVEL] = true;
  lastLevel = 0;
  #gathered = "";

  /** @param target Writes synchronously. */
  constructor(private readonly target: DestinationStream) {}

  write(line: string): void {
    if (this.#gathered === "") setImmediate(() => this.flush());
    this.#gathered += line;
    if (this.lastLevel >= WARN_LEVEL || this.#gathered.length > MAX_GATHERED_LENGTH) this.flush();
  }

  /** Writes what has been gathered. */
  flush(): void {
    const lines = this.#gathered;
    this.#gathered = "";
    if (lines !== "") this.target.write(lines);
  }
}
