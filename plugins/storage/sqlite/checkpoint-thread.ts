import { Worker } from "node:worker_threads";
import type { CheckpointAnswer, CheckpointRequest, LogState } from "./checkpoint-message.js";

const HEAP_MIB = 16;
const YOUNG_HEAP_MIB = 1;

/** A thread with a connection of its own, which copies the log into the database: that waits for the disk, and the event loop must not. */
export class CheckpointThread {
  #worker: Worker | null = null;
  #asked: PromiseWithResolvers<LogState> | null = null;

  /** @param path The database, which has to be open. */
  constructor(private readonly path: string) {}

  /**
   * Copies what no reader stands in the way of; one call at a time. The first one starts the thread, and so does the next after it has died.
   * @throws {Error} with SQLite's `code`, or when the thread died
   */
  checkpoint(): Promise<LogState> {
    const worker = this.#worker ?? this.#start();
    const asked = Promise.withResolvers<LogState>();
    this.#asked = asked;
    worker.ref();
    worker.postMessage("checkpoint" satisfies CheckpointRequest);
    return asked.promise;
  }

  /** Closes the connection, which as the last one copies all and removes the log, and ends the thread. */
  async close(): Promise<void> {
    const worker = this.#worker;
    if (worker === null) return;
    worker.ref();
    const ended = new Promise((resolve) => worker.once("exit", resolve));
    worker.postMessage("close" satisfies CheckpointRequest);
    await ended;
  }

  #start(): Worker {
    const worker = new Worker(new URL("./checkpoint-thread-entry.js", import.meta.url), {
      argv: [],
      execArgv: [],
      env: {},
      name: "checkpoints",
      workerData: { path: this.path },
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB, maxYoungGenerationSizeMb: YOUNG_HEAP_MIB },
    });
    let failure = new Error("the thread ended");
    worker.on("message", (answer: CheckpointAnswer) => {
      worker.unref(); // nothing is under way: it does not keep the process
      const asked = this.#asked;
      this.#asked = null;
      if ("log" in answer) asked?.resolve(answer);
      else asked?.reject(Object.assign(new Error(answer.message), { code: answer.code }));
    });
    worker.on("error", (error) => {
      failure = error instanceof Error ? error : new Error(String(error));
    });
    worker.on("exit", () => {
      this.#worker = null;
      this.#asked?.reject(failure);
      this.#asked = null;
    });
    this.#worker = worker;
    return worker;
  }
}
