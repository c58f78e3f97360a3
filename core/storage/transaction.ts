import { AsyncLocalStorage } from "node:async_hooks";
import { setTimeout as delay, setImmediate as nextTurn } from "node:timers/promises";
import type { EntityManager } from "@mikro-orm/core";
import { MezError } from "../errors/error.js";
import type { Database, Transaction } from "../plugin/database.js";
import { RecordedTransaction } from "./recorded-transaction.js";
import { sqlConnection } from "./sql-connection.js";
import { isLostConnection, isUnavailable, toStorageError } from "./storage-error.js";
import { type Job, TransactionGroup, type TransactionOptions } from "./transaction-group.js";

/** Runs transactions in groups, one after the other, in the order of their calls. */
export class TransactionQueue implements Database {
  readonly #options: TransactionOptions;
  readonly #waiting: WaitingJob[] = [];
  #running: Promise<void> | null = null;
  #closed = false;

  constructor(options: TransactionOptions) {
    this.#options = options;
  }

  async read<T>(work: (em: EntityManager) => Promise<T>): Promise<T> {
    const patientUntil = performance.now() + PATIENCE_MS;
    for (;;) {
      const em = this.#options.orm.em.fork();
      // All queries of this fork, raw ones too, go to the connection for reading and never wait for a writer.
      em.setTransactionContext(sqlConnection(em, "read").getClient());
      try {
        return await work(em);
      } catch (error) {
        // Reading again does no harm.
        const again = this.#options.shared !== null && isLostConnection(error) && performance.now() < patientUntil;
        if (!again) throw toStorageError(error);
        await delay(AGAIN_MS);
      } finally {
        // Also what an error tells may be lost in a power cut.
        await this.#options.disk.settled();
      }
    }
  }

  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    if (isInside(this, inside.getStore())) {
      return Promise.reject(
        new MezError("INTERNAL", "internal error", { detail: "a transaction inside a transaction would wait for itself" }),
      );
    }
    if (this.#closed) return Promise.reject(new MezError("UNAVAILABLE", "the database is closing"));
    const inCallersContext = AsyncLocalStorage.snapshot();
    return new Promise<T>((resolve, reject) => {
      let result: T;
      this.#waiting.push({
        since: performance.now(),
        run: async (open) => {
          const tx = new RecordedTransaction(open);
          const mark: Mark = { queue: this, active: true, around: inside.getStore() };
          try {
            result = await inCallersContext(() => inside.run(mark, () => work(tx)));
          } finally {
            mark.active = false;
          }
          await tx.flush();
          return tx;
        },
        committed: () => resolve(result),
        failed: (error) => reject(toStorageError(error)),
      });
      this.#running ??= this.#work();
    });
  }

  /** Whether a transaction is under way or about to begin. */
  get isRunning(): boolean {
    return this.#running !== null;
  }

  /** Takes no more transactions, and resolves when those accepted are done. */
  async close(): Promise<void> {
    this.#closed = true;
    while (this.#running !== null) await this.#running;
    if (this.#options.keeper.hasDelivered) await this.#commitGroup();
  }

  async #work(): Promise<void> {
    while (this.#waiting.length > 0) {
      // SQLite's calls block; without this turn no socket would be read, and nobody could join the group.
      await nextTurn();
      await this.#commitGroup();
    }
    this.#running = null;
  }

  async #commitGroup(): Promise<void> {
    const { logger, disk } = this.#options;
    if (disk.failure !== null) {
      for (const job of this.#waiting.splice(0)) job.failed(disk.failure);
      return;
    }
    const group = new TransactionGroup(this.#options);
    const watchdog = setTimeout(() => logger.warn("a transaction has been running for 10 s, and all others wait for it"), 10_000);
    try {
      await group.commit(() => this.#waiting.shift());
      if (group.hasWritten) await disk.upkeep();
    } catch (error) {
      if (!group.hasBegun) await this.#notBegun(error);
    } finally {
      clearTimeout(watchdog);
    }
  }

  /** The connection is gone, or others hold the database. No work has been run, so all of it may be tried again. */
  async #notBegun(error: unknown): Promise<void> {
    if (this.#options.shared === null || !isUnavailable(error)) {
      // The first one learns it, the rest try.
      this.#waiting.shift()?.failed(error);
      return;
    }
    const patientSince = performance.now() - PATIENCE_MS;
    while (this.#waiting[0] !== undefined && (this.#closed || this.#waiting[0].since < patientSince)) {
      this.#waiting.shift()?.failed(error);
    }
    await delay(AGAIN_MS);
  }
}

// --- internal ---

interface WaitingJob extends Job {
  /** When it was given to us, on the monotonic clock. */
  readonly since: number;
}

// How long work waits for a shared database that is away, e.g. while a standby takes over.
const PATIENCE_MS = 5_000;
const AGAIN_MS = 100;

/** Work that runs, and the work of another database's queue that it was begun in. */
interface Mark {
  readonly queue: TransactionQueue;
  active: boolean;
  readonly around: Mark | undefined;
}

const inside = new AsyncLocalStorage<Mark>();

function isInside(queue: TransactionQueue, mark: Mark | undefined): boolean {
  for (let each = mark; each !== undefined; each = each.around) if (each.active && each.queue === queue) return true;
  return false;
}
