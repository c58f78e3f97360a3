import { setImmediate as nextTurn } from "node:timers/promises";
import { MezError } from "../errors/error.js";

/**
 * Calls that others go ahead of. In each turn of the event loop some of them begin, for a few milliseconds; then come the sockets, and
 * with them whoever does not wait here. Nobody waits for long: while somebody does, the next one is told to come again.
 */
export class BackgroundLane {
  readonly #waiting: Waiting[] = [];
  /** How many of each connection. */
  readonly #shares = new Map<string, number>();
  #isRunning = false;

  /** @param maxWaitMs While a call has waited for longer, none is taken. */
  constructor(
    private readonly maxWaitMs = MAX_WAIT_MS,
    private readonly sliceMs = SLICE_MS,
  ) {}

  /**
   * Resolves when it is the caller's turn.
   * @param connection Of which only a few calls wait, so that one does not keep out all others.
   * @throws {MezError} `LIMIT_EXCEEDED` with a field `retryAfterMs`
   */
  turn(connection: string): Promise<void> {
    const share = this.#shares.get(connection) ?? 0;
    const since = performance.now();
    const isSlow = since - (this.#waiting[0]?.since ?? since) > this.maxWaitMs;
    if (isSlow || share >= MAX_OF_ONE)
      return Promise.reject(
        new MezError("LIMIT_EXCEEDED", "too many calls of machines wait; come again later", {
          fields: { retryAfterMs: RETRY_AFTER_MS },
        }),
      );
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ connection, since, begin: resolve });
    this.#shares.set(connection, share + 1);
    if (!this.#isRunning) void this.#run();
    return promise;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#waiting.length > 0) {
      await nextTurn();
      const until = performance.now() + this.sliceMs;
      do {
        this.#beginNext();
        // What the call does before it waits for something is over then.
        await new Promise((resolve) => process.nextTick(resolve));
      } while (this.#waiting.length > 0 && performance.now() < until);
    }
    this.#isRunning = false;
  }

  #beginNext(): void {
    const next = this.#waiting.shift();
    if (next === undefined) return;
    const share = this.#shares.get(next.connection) ?? 0;
    if (share > 1) this.#shares.set(next.connection, share - 1);
    else this.#shares.delete(next.connection);
    next.begin();
  }
}

// --- internal ---

interface Waiting {
  readonly connection: string;
  /** On the monotonic clock, in milliseconds. */
  readonly since: number;
  readonly begin: () => void;
}

/** Agents give a call 20 s and more. */
const MAX_WAIT_MS = 8_000;
/** An agent makes one call after the other, of two or three kinds. */
const MAX_OF_ONE = 16;
const SLICE_MS = 5;
const RETRY_AFTER_MS = 5_000;
