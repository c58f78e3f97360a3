import type { MikroORM } from "@mikro-orm/core";
import { MezError } from "../errors/error.js";
import { sqlConnection } from "./sql-connection.js";

type Client = ReturnType<ReturnType<typeof sqlConnection>["getClient"]>;
type Executor = ReturnType<Client["getExecutor"]>;
type Statement = Parameters<Executor["executeQuery"]>[0];

/**
 * The connection on which a transaction runs, as MikroORM's query methods take it. Statements go out in the order in which they
 * are given to it, and do not wait for the answers to those before them where the database takes them like that.
 */
export class TransactionContext {
  #isOver = false;
  #isSealed = false;
  #hasFailed = false;

  private constructor(private readonly executor: Executor) {}

  /** Takes a connection, and gives it back when `work` is done; nothing may be sent on it afterwards. */
  static async use<T>(orm: MikroORM, work: (context: TransactionContext) => Promise<T>): Promise<T> {
    // Kysely's own `connection()` sends a statement only after the answer to the one before it.
    const executor = sqlConnection(orm.em, "write").getClient().getExecutor();
    return executor.provideConnection(async (connection) => {
      const context = new TransactionContext(
        executor.withConnectionProvider({ provideConnection: (consumer) => consumer(connection) }),
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
    return new TransactionContext(this.executor);
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
    try {
      return await this.executor.executeQuery(statement);
    } catch (error) {
      this.#hasFailed = true;
      throw error;
    }
  }

  /** MikroORM's, for results that are read bit by bit. */
  getExecutor(): Executor {
    this.#requireOpen();
    return this.executor;
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
