import { AsyncLocalStorage } from "node:async_hooks";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { EntityManager, MikroORM } from "@mikro-orm/core";
import type { AbstractSqlConnection } from "@mikro-orm/sqlite";
import { MezError, messageOf } from "../errors/error.js";
import { appendToOutbox, type OutboxRow, pruneOutbox } from "../events/outbox.js";
import type { AuditEvent } from "../plugin/audit.js";
import type { Database, Transaction } from "../plugin/database.js";
import type { Logger } from "../plugin/logger.js";
import type { AuditSink } from "../ports/audit-sink.js";
import type { Clock } from "../time/clock.js";
import { toAuditEvent } from "./audit-event.js";
import { RecordedTransaction } from "./recorded-transaction.js";
import { toStorageError } from "./storage-error.js";

export interface TransactionOptions {
  readonly orm: MikroORM;
  /** Where audit events go, asked at each transaction so that a reload takes effect. */
  readonly sinks: () => readonly AuditSink[];
  readonly clock: Clock;
  readonly clusterName: string;
  readonly logger: Logger;
  /** Called after each durable commit with its outbox rows in order, before those who wait for the commit go on. */
  readonly onCommitted: (rows: readonly OutboxRow[]) => void;
}

/**
 * Runs transactions one after the other, in the order of their calls. Those that wait are grouped under one commit, a
 * savepoint for each that touches the database: a failing one is undone alone, and nobody goes on before the commit that
 * carries him is durable.
 */
export class TransactionQueue implements Database {
  readonly #options: TransactionOptions;
  readonly #waiting: Job[] = [];
  #delivered: number[] = [];
  #running: Promise<void> | null = null;
  #closed = false;

  constructor(options: TransactionOptions) {
    this.#options = options;
  }

  async read<T>(work: (em: EntityManager) => Promise<T>): Promise<T> {
    const em = this.#options.orm.em.fork();
    // All queries of this fork, raw ones too, go to the connection for reading and never wait for a writer.
    em.setTransactionContext(sqlConnection(em, "read").getClient());
    try {
      return await work(em);
    } catch (error) {
      throw toStorageError(error);
    }
  }

  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    if (inside.getStore()?.active) {
      return Promise.reject(
        new MezError("INTERNAL", "internal error", { detail: "a transaction inside a transaction would wait for itself" }),
      );
    }
    if (this.#closed) return Promise.reject(new MezError("UNAVAILABLE", "the database is closing"));
    const inCallersContext = AsyncLocalStorage.snapshot();
    return new Promise<T>((resolve, reject) => {
      let result: T;
      this.#waiting.push({
        run: async (open) => {
          const tx = new RecordedTransaction(open);
          const mark = { active: true };
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

  /** Lets the next commit delete these outbox rows. Lost in a crash, so they may be delivered again. */
  delivered(seqs: readonly number[]): void {
    this.#delivered.push(...seqs);
  }

  /** Takes no more transactions, and resolves when those accepted are done. */
  async close(): Promise<void> {
    this.#closed = true;
    while (this.#running !== null) await this.#running;
    if (this.#delivered.length > 0) await this.#commitGroup();
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
    const done: Finished[] = [];
    const pruned = this.#delivered;
    this.#delivered = [];
    let taken = 0;
    const watchdog = setTimeout(
      () => this.#options.logger.warn("a transaction has been running for 10 s, and all others wait for it"),
      10_000,
    );
    let rows: readonly OutboxRow[];
    try {
      rows = await this.#inTransaction(async (context) => {
        if (pruned.length > 0) await pruneOutbox(this.#fork(context), pruned);
        const closesAt = performance.now() + GROUP_MS;
        let turnEndsAt = performance.now() + TURN_MS;
        do {
          if (performance.now() > turnEndsAt) {
            await nextTurn();
            turnEndsAt = performance.now() + TURN_MS;
          }
          const job = this.#waiting.shift();
          if (job === undefined) break;
          taken += 1;
          const tx = await this.#runJob(job, context);
          if (tx !== null) done.push({ job, tx });
        } while (taken < GROUP_SIZE && performance.now() < closesAt);
        return this.#record(done, this.#fork(context));
      });
    } catch (error) {
      this.#delivered.push(...pruned);
      for (const { job } of done) job.failed(error);
      // Not even begun, e.g. the connection is gone: the first one learns it, the rest try.
      if (taken === 0) this.#waiting.shift()?.failed(error);
      return;
    } finally {
      clearTimeout(watchdog);
    }
    if (rows.length > 0) this.#announce(rows);
    for (const { job } of done) job.committed();
  }

  /** `null` when the job failed and was undone. Throws when it could not be undone alone. */
  async #runJob(job: Job, context: Context): Promise<RecordedTransaction | null> {
    // Begun with the first use of the database: many jobs only record that something happened.
    let savepoint: Promise<void> | null = null;
    let isOver = false;
    const open = (): EntityManager => {
      if (isOver) throw new MezError("INTERNAL", "internal error", { detail: "a transaction was used after its end" });
      // Not waited for: a connection runs its statements in the order in which they are given to it.
      savepoint = this.#execute("savepoint job", context);
      savepoint.catch(() => "thrown where it is waited for");
      return this.#fork(context);
    };
    const closed = async (...statements: readonly string[]): Promise<void> => {
      if (savepoint === null) return;
      await savepoint;
      for (const sql of statements) await this.#execute(sql, context);
    };
    try {
      const tx = await job.run(open);
      isOver = true;
      await closed("release savepoint job");
      return tx;
    } catch (error) {
      isOver = true;
      job.failed(error);
      // Fails when the database has ended the whole transaction by itself, as SQLite does on a full disk.
      await closed("rollback to savepoint job", "release savepoint job");
      return null;
    }
  }

  /** Writes what the transactions of a group left behind besides their rows, all at once: a tenth of the cost. */
  async #record(done: readonly Finished[], em: EntityManager): Promise<readonly OutboxRow[]> {
    const now = this.#options.clock.now();
    const events = new Map<string, AuditEvent>();
    for (const { tx } of done) {
      for (const record of tx.audits) {
        const event = toAuditEvent(record, now, this.#options.clusterName);
        // The same report may come twice in one group.
        if (!events.has(event.id)) events.set(event.id, event);
      }
    }
    if (events.size > 0) {
      for (const sink of this.#options.sinks()) await sink.append([...events.values()], em);
      await em.flush();
    }
    return appendToOutbox(
      em,
      done.flatMap(({ tx }) => tx.messages),
    );
  }

  // Not MikroORM's own begin(): it keeps the connection for ever when a commit or rollback fails.
  async #inTransaction<T>(work: (context: Context) => Promise<T>): Promise<T> {
    return sqlConnection(this.#options.orm.em, "write")
      .getClient()
      .connection()
      .execute(async (context) => {
        await this.#execute("begin", context);
        try {
          const result = await work(context);
          await this.#execute("commit", context);
          return result;
        } catch (error) {
          await this.#execute("rollback", context).catch(() => "already ended by the database");
          throw error;
        }
      });
  }

  async #execute(sql: string, context: Context): Promise<void> {
    await sqlConnection(this.#options.orm.em, "write").execute(sql, [], "run", context as never);
  }

  #fork(context: Context): EntityManager {
    const em = this.#options.orm.em.fork();
    em.setTransactionContext(context);
    return em;
  }

  #announce(rows: readonly OutboxRow[]): void {
    try {
      this.#options.onCommitted(rows);
    } catch (error) {
      this.#options.logger.error("delivering events after a commit", { error: messageOf(error) });
    }
  }
}

// --- internal ---

interface Job {
  run(open: () => EntityManager): Promise<RecordedTransaction>;
  committed(): void;
  failed(error: unknown): void;
}

interface Finished {
  readonly job: Job;
  readonly tx: RecordedTransaction;
}

// A group ends at either: a commit costs one flush of the disk, and a longer group delays its first member.
const GROUP_SIZE = 64;
const GROUP_MS = 10;
// How long calls of the database may keep sockets waiting.
const TURN_MS = 2;

/** The connection on which a transaction runs, as MikroORM's query methods take it. */
type Context = object;

function sqlConnection(em: EntityManager, type: "read" | "write"): AbstractSqlConnection {
  return em.getConnection(type) as unknown as AbstractSqlConnection;
}

const inside = new AsyncLocalStorage<{ active: boolean }>();
