import { AsyncLocalStorage } from "node:async_hooks";
import { setTimeout as delay, setImmediate as nextTurn } from "node:timers/promises";
import type { EntityManager, MikroORM } from "@mikro-orm/core";
import type { AbstractSqlConnection } from "@mikro-orm/sqlite";
import { MezError, messageOf } from "../errors/error.js";
import { appendToOutbox, type OutboxHead, type OutboxRow, readOutboxHead } from "../events/outbox.js";
import type { AuditEvent } from "../plugin/audit.js";
import type { Database, Transaction } from "../plugin/database.js";
import type { Logger } from "../plugin/logger.js";
import type { AuditSink } from "../ports/audit-sink.js";
import type { SharedStorage } from "../ports/storage-driver.js";
import type { Clock } from "../time/clock.js";
import { toAuditEvent } from "./audit-event.js";
import type { OutboxKeeper } from "./outbox-keeper.js";
import { RecordedTransaction } from "./recorded-transaction.js";
import { isLostConnection, isUnavailable, toStorageError } from "./storage-error.js";

export interface TransactionOptions {
  readonly orm: MikroORM;
  /** Where audit events go, asked at each transaction so that a reload takes effect. */
  readonly sinks: () => readonly AuditSink[];
  readonly clock: Clock;
  readonly clusterName: string;
  readonly logger: Logger;
  /** Called after each durable commit with its outbox rows in order, before those who wait for the commit go on. */
  readonly onCommitted: (rows: readonly OutboxRow[]) => void;
  /** Deletes what is delivered, and says which server this is. */
  readonly keeper: OutboxKeeper;
  /** `null` when this process alone has the database. */
  readonly shared: SharedWriting | null;
}

/** Writing to a database that other servers write to as well. */
export interface SharedWriting {
  readonly storage: SharedStorage;
  /** Called when this process is the only writer of the cluster, before the first work: takes in what others have committed. */
  caughtUp(em: EntityManager, head: OutboxHead): Promise<void>;
}

/**
 * Runs transactions one after the other, in the order of their calls. Those that wait are grouped under one commit, a
 * savepoint for each that touches the database: a failing one is undone alone, and nobody goes on before the commit that
 * carries him is durable.
 *
 * Where servers share the database, a group begins by locking the one row of `outbox_head`. So it is the only writer of the
 * cluster until its commit, reads what the writer before it left, and needs no other lock, whatever it reads and decides.
 */
export class TransactionQueue implements Database {
  readonly #options: TransactionOptions;
  readonly #waiting: Job[] = [];
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
    const { keeper } = this.#options;
    const done: Finished[] = [];
    const stage: Stage = { taken: 0, isCommitting: false };
    const watchdog = setTimeout(
      () => this.#options.logger.warn("a transaction has been running for 10 s, and all others wait for it"),
      10_000,
    );
    let rows: readonly OutboxRow[];
    const upkeep = keeper.begin();
    try {
      rows = await this.#inTransaction(stage, async (context) => {
        await upkeep.write(this.#fork(context));
        await this.#runWaiting(stage, context, done);
        return this.#record(done, this.#fork(context));
      });
    } catch (error) {
      upkeep.failed();
      const known = stage.isCommitting && this.#options.shared !== null ? maybeCommitted(error) : error;
      for (const { job } of done) job.failed(known);
      if (stage.taken === 0) await this.#notBegun(error);
      return;
    } finally {
      clearTimeout(watchdog);
    }
    if (rows.length > 0) this.#announce(rows);
    for (const { job } of done) job.committed();
  }

  async #runWaiting(stage: Stage, context: Context, done: Finished[]): Promise<void> {
    const closesAt = performance.now() + GROUP_MS;
    let turnEndsAt = performance.now() + TURN_MS;
    do {
      if (performance.now() > turnEndsAt) {
        await nextTurn();
        turnEndsAt = performance.now() + TURN_MS;
      }
      const job = this.#waiting.shift();
      if (job === undefined) break;
      stage.taken += 1;
      const tx = await this.#runJob(job, context);
      if (tx !== null) done.push({ job, tx });
    } while (stage.taken < GROUP_SIZE && performance.now() < closesAt);
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
    const messages = done.flatMap(({ tx }) => tx.messages);
    return appendToOutbox(em, messages, this.#options.keeper.server);
  }

  // Not MikroORM's own begin(): it keeps the connection for ever when a commit or rollback fails.
  async #inTransaction(stage: Stage, work: (context: Context) => Promise<readonly OutboxRow[]>): Promise<readonly OutboxRow[]> {
    const { shared } = this.#options;
    return sqlConnection(this.#options.orm.em, "write")
      .getClient()
      .connection()
      .execute(async (context) => {
        await this.#execute(shared?.storage.begin ?? "begin", context);
        try {
          if (shared !== null) {
            const em = this.#fork(context);
            await shared.caughtUp(em, await readOutboxHead(em, { lock: true }));
          }
          const rows = await work(context);
          stage.isCommitting = true;
          await this.#execute(shared !== null && rows.length > 0 ? shared.storage.commitAndTell : "commit", context);
          return rows;
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
  /** When it was given to us, on the monotonic clock. */
  readonly since: number;
  run(open: () => EntityManager): Promise<RecordedTransaction>;
  committed(): void;
  failed(error: unknown): void;
}

/** How far a group has come. */
interface Stage {
  /** Jobs that were run. */
  taken: number;
  isCommitting: boolean;
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
// How long work waits for a shared database that is away, e.g. while a standby takes over.
const PATIENCE_MS = 5_000;
const AGAIN_MS = 100;

/** The connection on which a transaction runs, as MikroORM's query methods take it. */
type Context = object;

/** Whether a commit was made whose answer did not come can be known only by looking. */
function maybeCommitted(cause: unknown): unknown {
  if (!isUnavailable(cause)) return cause;
  return new MezError(
    "UNAVAILABLE",
    "the database went away during the commit, which may have been made; look before you try again",
    {
      cause,
      detail: messageOf(cause),
    },
  );
}

function sqlConnection(em: EntityManager, type: "read" | "write"): AbstractSqlConnection {
  return em.getConnection(type) as unknown as AbstractSqlConnection;
}

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
