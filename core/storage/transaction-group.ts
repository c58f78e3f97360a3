import { setImmediate as nextTurn } from "node:timers/promises";
import type { EntityManager, MikroORM } from "@mikro-orm/core";
import { MezError, messageOf } from "../errors/error.js";
import { writeNote } from "../events/commit-note.js";
import { appendToOutbox, type OutboxHead, type OutboxRow } from "../events/outbox.js";
import type { AuditEvent } from "../plugin/audit.js";
import type { Logger } from "../plugin/logger.js";
import type { AuditSink } from "../ports/audit-sink.js";
import type { SharedStorage } from "../ports/storage-driver.js";
import type { Clock } from "../time/clock.js";
import { allDone } from "./all-done.js";
import { toAuditEvent } from "./audit-event.js";
import type { DiskFlush, ExpectedFlush } from "./disk-flush.js";
import type { OutboxKeeper, Upkeep } from "./outbox-keeper.js";
import type { RecordedTransaction } from "./recorded-transaction.js";
import { sqlConnection } from "./sql-connection.js";
import { isUnavailable } from "./storage-error.js";
import { TransactionContext } from "./transaction-context.js";

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
  readonly disk: DiskFlush;
  /** `null` when this process alone has the database. */
  readonly shared: SharedWriting | null;
}

/** Writing to a database that other servers write to as well. */
export interface SharedWriting {
  readonly storage: SharedStorage;
  /**
   * Called as soon as the transaction is begun, before the first work: makes this process the only writer of the cluster, takes
   * in what others have committed, and tells how far the outbox has come.
   */
  takeTurn(em: EntityManager): Promise<OutboxHead>;
}

/** What is asked of a group. */
export interface Job {
  run(open: () => EntityManager): Promise<RecordedTransaction>;
  committed(): void;
  failed(error: unknown): void;
}

/**
 * Several jobs under one commit, a savepoint for each that touches the database: a failing one is undone alone, and nobody
 * goes on before the commit that carries him is durable.
 *
 * Where servers share the database, a group begins by locking the one row of `outbox_head`. So it is the only writer of the
 * cluster until its commit, reads what the writer before it left, and needs no other lock, whatever it reads and decides. All
 * others wait for as long as that takes, so nothing waits for an answer in it that it can do without: what has to be read first
 * is asked for in one piece, and so is what is written last.
 */
export class TransactionGroup {
  readonly #done: Finished[] = [];
  /** Answers that nobody has waited for yet. */
  readonly #sent: Promise<void>[] = [];
  #taken = 0;
  #isCommitting = false;
  /** `null` until the commit, and where nothing was written. */
  #flush: ExpectedFlush | null = null;

  constructor(private readonly options: TransactionOptions) {}

  /** Whether a job was run. */
  get hasBegun(): boolean {
    return this.#taken > 0;
  }

  /** Whether a commit was made that wrote something. */
  get hasWritten(): boolean {
    return this.#flush !== null;
  }

  /**
   * Runs jobs until there is none, or the group is full, and commits. Each that was taken has its answer afterwards.
   * @throws what kept the group from its commit
   */
  async commit(next: () => Job | undefined): Promise<void> {
    const { keeper, shared } = this.options;
    const upkeep = keeper.begin();
    let rows: readonly OutboxRow[];
    try {
      rows = await TransactionContext.use(this.options.orm, async (context) => {
        try {
          const head = await this.#begin(upkeep, context);
          await this.#runWaiting(next, context);
          return await this.#end(head, context);
        } catch (error) {
          await this.#execute("rollback", context.control).catch(() => "already ended by the database");
          throw error;
        }
      });
    } catch (error) {
      upkeep.failed();
      this.#flush?.drop();
      throw this.#failed(error, this.#isCommitting && shared !== null ? maybeCommitted(error) : error);
    }
    try {
      await this.#flush?.flush();
    } catch (error) {
      throw this.#failed(error);
    }
    if (rows.length > 0) this.#announce(rows);
    for (const { job } of this.#done) job.committed();
  }

  // Not MikroORM's own begin(): it keeps the connection for ever when a commit or rollback fails.
  async #begin(upkeep: Upkeep, context: TransactionContext): Promise<OutboxHead | null> {
    const { shared, sinks } = this.options;
    const em = this.#fork(context);
    const begun = this.#execute(shared?.storage.begin ?? "begin", context.control);
    const turn = shared?.takeTurn(em);
    const reads = sinks().map((sink) => sink.prepare?.(em));
    await allDone([begun, turn, ...reads, upkeep.write(em)]);
    return (await turn) ?? null;
  }

  async #runWaiting(next: () => Job | undefined, context: TransactionContext): Promise<void> {
    const closesAt = performance.now() + (this.options.shared === null ? GROUP_MS : SHARED_GROUP_MS);
    let turnEndsAt = performance.now() + TURN_MS;
    do {
      if (performance.now() > turnEndsAt) {
        await nextTurn();
        turnEndsAt = performance.now() + TURN_MS;
      }
      const job = next();
      if (job === undefined) break;
      this.#taken += 1;
      const tx = await this.#runJob(job, context);
      if (tx !== null) this.#done.push({ job, tx });
    } while (this.#taken < GROUP_SIZE && performance.now() < closesAt);
  }

  /** `null` when the job failed and was undone. Throws when it could not be undone alone. */
  async #runJob(job: Job, context: TransactionContext): Promise<RecordedTransaction | null> {
    // Begun with the first use of the database: many jobs only record that something happened.
    let savepoint: Promise<void> | null = null;
    let isOver = false;
    const open = (): EntityManager => {
      if (isOver) throw new MezError("INTERNAL", "internal error", { detail: "a transaction was used after its end" });
      const begin = (sent: Promise<void>): void => {
        // Not waited for: the connection runs its statements in their order.
        sent.catch(() => "thrown where it is waited for");
        savepoint = sent;
      };
      if (this.options.shared !== null) begin(this.#execute("savepoint job", context));
      // Many read, and write nothing but an audit record. There a query that was refused leaves nothing to be undone.
      else context.beforeWriting(() => begin(context.run("savepoint job")));
      return this.#fork(context);
    };
    const closed = async (...statements: readonly string[]): Promise<void> => {
      if (savepoint === null) return;
      await savepoint;
      for (const sql of statements) await this.#execute(sql, context);
    };
    let isUnsure = false;
    try {
      const tx = await job.run(open);
      isOver = true;
      context.beforeWriting(null);
      // One who went on after a statement was refused may not be able to.
      if (!context.takeFailure()) {
        if (savepoint !== null) this.#send("release savepoint job", context);
        return tx;
      }
      isUnsure = savepoint === null;
      if (isUnsure)
        throw new MezError("INTERNAL", "internal error", { detail: "a transaction went on after a query was refused" });
      await closed("release savepoint job");
      return tx;
    } catch (error) {
      isOver = true;
      context.beforeWriting(null);
      job.failed(error);
      // Whatever refuses a query may have ended the whole transaction.
      isUnsure ||= context.takeFailure() && savepoint === null;
      if (isUnsure) throw error;
      // Fails when the database has ended the whole transaction by itself, as SQLite does on a full disk.
      await closed("rollback to savepoint job", "release savepoint job");
      context.takeFailure();
      return null;
    }
  }

  /** Writes what the transactions of a group left behind besides their rows, all at once: a tenth of the cost; and commits. */
  async #end(head: OutboxHead | null, context: TransactionContext): Promise<readonly OutboxRow[]> {
    const { shared, keeper, sinks } = this.options;
    const em = this.#fork(context);
    const messages = this.#done.flatMap(({ tx }) => tx.messages);
    const written = appendToOutbox(em, messages, keeper.server, head);
    const answers = [...this.#sent, this.#appendAudits(em), written];
    let hasFailed = false;
    for (const answer of answers) answer.catch(() => (hasFailed = true));
    // Whatever was given to the connection is on its way then.
    await new Promise((resolve) => process.nextTick(resolve));
    const arePrepared = sinks().every(isPrepared);
    // With another driver what comes later would be outside of the transaction, so nobody gets used to it.
    if (arePrepared) context.seal();
    if (hasFailed || shared === null || !arePrepared) await allDone(answers);
    context.seal();
    this.#isCommitting = true;
    // Before anyone can read what is committed.
    if (context.hasWritten) this.#flush = this.options.disk.expect();
    const tell = shared === null || head === null || messages.length === 0 ? null : shared.storage.tell;
    const note = writeNote({ seq: (head?.seq ?? 0) + messages.length, server: keeper.server });
    // A shared database undoes everything at a commit when it has refused something.
    await allDone([...answers, this.#execute(tell === null ? "commit" : `${tell(note)}; commit`, context.control)]);
    return written;
  }

  #failed(error: unknown, known = error): unknown {
    for (const { job } of this.#done) job.failed(known);
    return error;
  }

  async #appendAudits(em: EntityManager): Promise<void> {
    const now = this.options.clock.now();
    const events = new Map<string, AuditEvent>();
    for (const { tx } of this.#done) {
      for (const record of tx.audits) {
        const event = toAuditEvent(record, now, this.options.clusterName);
        // The same report may come twice in one group.
        if (!events.has(event.id)) events.set(event.id, event);
      }
    }
    if (events.size === 0) return;
    const [all, sinks] = [[...events.values()], this.options.sinks()];
    if (sinks.every(isPrepared)) return allDone(sinks.map((sink) => sink.append(all, em)));
    for (const sink of sinks) await sink.append(all, em);
    await em.flush();
  }

  /** The answer is waited for before the commit. */
  #send(sql: string, context: TransactionContext): void {
    const answer = this.#execute(sql, context);
    answer.catch(() => "thrown where it is waited for");
    this.#sent.push(answer);
  }

  async #execute(sql: string, context: TransactionContext): Promise<void> {
    await sqlConnection(this.options.orm.em, "write").execute(sql, [], "run", context as never);
  }

  #fork(context: TransactionContext): EntityManager {
    const em = this.options.orm.em.fork();
    em.setTransactionContext(context);
    return em;
  }

  #announce(rows: readonly OutboxRow[]): void {
    try {
      this.options.onCommitted(rows);
    } catch (error) {
      this.options.logger.error("delivering events after a commit", { error: messageOf(error) });
    }
  }
}

// --- internal ---

interface Finished {
  readonly job: Job;
  readonly tx: RecordedTransaction;
}

// A group ends at either: a commit costs one flush of the disk, and a longer group delays its first member.
const GROUP_SIZE = 64;
const GROUP_MS = 10;
// Where servers take turns, a turn costs more than a flush.
const SHARED_GROUP_MS = 20;
// How long calls of the database may keep sockets waiting.
const TURN_MS = 2;

function isPrepared(sink: AuditSink): boolean {
  return sink.prepare !== undefined;
}

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
