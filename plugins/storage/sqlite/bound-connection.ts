import type { Configuration, Constructor, Transaction } from "@mikro-orm/core";
import { AbstractSqlDriver, type MikroORM, SqliteConnection, SqliteDriver, SqlitePlatform } from "@mikro-orm/sqlite";
import { type BoundStatement, boundStatement } from "./bound-statement.js";
import { StatementCache } from "./statement-cache.js";

/** MikroORM's driver, on connections that bind values. */
export class BoundSqliteDriver extends AbstractSqlDriver<BoundSqliteConnection> {
  constructor(config: Configuration) {
    super(config, new SqlitePlatform(), BoundSqliteConnection, ["kysely", "better-sqlite3"]);
  }

  override getORMClass(): Constructor<MikroORM> {
    return SqliteDriver.prototype.getORMClass.call(this);
  }
}

/**
 * MikroORM writes values into the text of a statement, which SQLite then compiles anew each time: a third of what storing an event took.
 * Here they are bound, and what was compiled is used again.
 */
export class BoundSqliteConnection extends SqliteConnection {
  override async connect(options?: { skipOnConnect?: boolean }): Promise<void> {
    await super.connect(options);
    const database = await this.getNativeClient();
    const statements = new StatementCache(database.prepare.bind(database) as typeof database.prepare);
    database.prepare = ((sql: string) => statements.prepare(sql)) as typeof database.prepare;
  }

  override async execute<T>(...call: Parameters<SqliteConnection["execute"]>): Promise<T> {
    const [query, params = [], method = "all", context, log] = call;
    const isPlain = typeof query === "string" && Array.isArray(params) && !(log !== undefined && "signal" in log);
    const bound = isPlain ? boundStatement(query, params) : null;
    if (!isPlain || bound === null) return (await super.execute(...call)) as T;
    await this.ensureConnection();
    const compiled = compiledQuery(bound);
    const work = async (): Promise<T> => {
      const result = await ((context as Transaction<Executor> | undefined) ?? this.getClient()).executeQuery(compiled);
      return this.transformRawResult(result, method);
    };
    // All that this adds is a line in the log.
    return this.logger.isEnabled("query", log) ? this.executeQuery(query, work, { query, params, ...log }) : work();
  }
}

// --- internal ---

type Executor = ReturnType<SqliteConnection["getClient"]>;
type Compiled = Extract<Parameters<Executor["executeQuery"]>[0], { readonly queryId: unknown }>;

function compiledQuery({ sql, values }: BoundStatement): Compiled {
  return { sql, parameters: values, query: { kind: "RawNode", sqlFragments: [sql], parameters: [] }, queryId: { queryId: sql } };
}
