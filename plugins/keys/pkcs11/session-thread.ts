import { Worker } from "node:worker_threads";
import type { TokenAnswer, TokenMessage, TokenRequest } from "./token-message.js";

const HEAP_MIB = 32;
const YOUNG_HEAP_MIB = 2;

/** A thread for one session: calls of PKCS #11 block, and the event loop must go on. */
export class SessionThread {
  /** Whether the last `open` worked, and nothing was lost since. */
  isOpen = false;
  /** How many have it now; counted by the pool. */
  jobs = 0;
  #worker: Worker | null = null;
  #isEnded = false;
  #forgotten: string[] = [];
  /** Who waits for answers, which come in the order of the requests. */
  #answered: ((answer: TokenAnswer) => void)[] = [];

  /** Never rejects; a thread that ends answers `failed`, and the next request begins a new one. */
  ask(request: TokenRequest): Promise<TokenAnswer> {
    if (this.#isEnded) return Promise.resolve({ failure: { kind: "failed", message: "the session was closed" } });
    const worker = this.#worker ?? this.#start();
    this.#worker = worker;
    return new Promise((resolve) => {
      this.#answered.push(resolve);
      worker.ref();
      worker.postMessage({ request, forget: this.#forgotten } satisfies TokenMessage);
      this.#forgotten = [];
    });
  }

  /** Another session destroyed the key. */
  forget(id: string): void {
    if (this.isOpen) this.#forgotten.push(id);
  }

  /** Ends the thread. Resolves when it has ended, which it does not before a call of the module returns. */
  async end(): Promise<void> {
    this.#isEnded = true;
    this.isOpen = false;
    await this.#worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(new URL("./session-thread-entry.js", import.meta.url), {
      argv: [],
      execArgv: [],
      env: {},
      name: "pkcs11",
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB, maxYoungGenerationSizeMb: YOUNG_HEAP_MIB },
    });
    let reason = "the thread of the session ended";
    worker.on("message", (answer: TokenAnswer) => this.#answer(this.#answered.shift(), answer));
    worker.on("error", (error) => {
      reason = `the thread of the session failed: ${error instanceof Error ? error.message : String(error)}`;
    });
    worker.on("exit", () => {
      if (this.#worker === worker) this.#worker = null;
      this.isOpen = false;
      for (const each of this.#answered.splice(0)) this.#answer(each, { failure: { kind: "failed", message: reason } });
    });
    return worker;
  }

  #answer(answered: ((answer: TokenAnswer) => void) | undefined, answer: TokenAnswer): void {
    if (this.#answered.length === 0) this.#worker?.unref(); // nothing is under way: it does not keep the process
    if (answer.failure !== undefined && answer.failure.kind !== "unknown-key" && answer.failure.kind !== "unsupported")
      this.isOpen = false;
    answered?.(answer);
  }
}
