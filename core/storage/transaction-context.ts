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

  /** Whether a statement was refused since this was asked last. */
  takeFailure(): boolean {
    const failed = this.#hasFailed;
    this.#hasFailed = false;
    return failed;
  }

  /** MikroORM's. */
  async executeQuery(statement: Statement): ReturnType<Executor["executeQuery"]> {
    if (this.#isOver) throw new MezError("INTERNAL", "internal error", { detail: "a connection was used after its transaction" });
    try {
      return await this.executor.executeQuery(statement);
    } catch (error) {
      this.#hasFailed = true;
      throw error;
    }
  }

  /** MikroORM's, for results that are read bit by bit. */
  getExecutor(): Executor {
    return this.executor;
  }
}
