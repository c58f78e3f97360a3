import type { MikroORM } from "@mikro-orm/core";
import { MezError } from "../errors/error.js";
import { sqlConnection } from "./sql-connection.js";

type Client = ReturnType<ReturnType<typeof sqlConnection>["getClient"]>;
type Executor = ReturnType<Client["getExecutor"]>;
type Statement = Parameters<Executor["executeQuery"]>[0];
type Connection = Parameters<Parameters<Executor["provideConnection"]>[0]>[0];

/**
 * The connection on which a transaction runs, as MikroORM's query methods take it. Statements go out in the order in which they
 * are given to it, and do not wait for the answers to those before them where the database takes them like that.
 */
export class TransactionContext {
  #isOver = false;
  #isSealed = false;
  #hasFailed = false;
  #hasWritten = false;
  #beforeWriting: (() => void) | null = null;

  private constructor(
    private readonly executor: Executor,
    private readonly connection: Connection,
  ) {}

  /** Takes a connection, and gives it back when `work` is done; nothing may be sent on it afterwards. */
  static async use<T>(orm: MikroORM, work: (context: TransactionContext) => Promise<T>): Promise<T> {
    // Kysely's own `connection()` sends a statement only after the answer to the one before it.
    const executor = sqlConnection(orm.em, "write").getClient().getExecutor();
    return executor.provideConnection(async (connection) => {
      const context = new TransactionContext(
        executor.withConnectionProvider({ provideConnection: (consumer) => consumer(connection) }),
        connection,
      );
      try {
        return await work(context);
      } finally {
        context.#isOver = true;
      }
    });
  }

  /** Takes no statements any more but those of `control`. */
  seal(): void {
    this.#isSealed = true;
  }

  /** The same connection for what begins and ends the transaction. */
  get control(): TransactionContext {
    return new TransactionContext(this.executor, this.connection);
  }

  /** Has `begin` called once, right before the next statement that may change something; `null` for nothing to be called. */
  beforeWriting(begin: (() => void) | null): void {
    this.#beforeWriting = begin;
  }

  /** Sends a statement without values, ahead of what MikroORM has not passed on yet. */
  async run(sql: string): Promise<void> {
    const query = { kind: "RawNode", sqlFragments: [sql], parameters: [] } as const;
    await this.connection.executeQuery({ sql, parameters: [], query, queryId: { queryId: sql } });
  }

  /** Whether a statement was sent that may have changed something. */
  get hasWritten(): boolean {
    return this.#hasWritten;
  }

  /** Whether a statement was refused since this was asked last. */
  takeFailure(): boolean {
    const failed = this.#hasFailed;
    this.#hasFailed = false;
    return failed;
  }

  /** MikroORM's. */
  async executeQuery(statement: Statement): ReturnType<Executor["executeQuery"]> {
    this.#requireOpen();
    if (!statement.sql.startsWith("select ")) this.#announceWriting();
    try {
      // Not by the executor, which does the same through four more promises.
      return await this.connection.executeQuery(statement);
    } catch (error) {
      this.#hasFailed = true;
      throw error;
    }
  }

  /** MikroORM's, for results that are read bit by bit. */
  getExecutor(): Executor {
    this.#requireOpen();
    this.#announceWriting();
    return this.executor;
  }

  #announceWriting(): void {
    this.#hasWritten = true;
    const begin = this.#beforeWriting;
    this.#beforeWriting = null;
    begin?.();
  }

  #requireOpen(): void {
    if (this.#isOver) throw new MezError("INTERNAL", "internal error", { detail: "a connection was used after its transaction" });
    if (this.#isSealed)
      throw new MezError("INTERNAL", "internal error", {
        detail:
          "a statement came when its transaction was about to end; an audit sink with prepare sends all of them before it waits",
      });
  }
}
