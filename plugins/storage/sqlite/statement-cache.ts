/** What a compiled statement is kept for. */
interface Compiled {
  readonly source: string;
}

/**
 * Statements that a connection has compiled, known again by their text. Only texts whose values are bound are worth keeping: those with
 * placeholders, and the few that begin and end transactions.
 */
export class StatementCache<Statement extends Compiled> {
  /** The one used last is at the end. */
  readonly #known = new Map<string, Statement>();

  constructor(
    private readonly compile: (sql: string) => Statement,
    private readonly maxStatements = MAX_STATEMENTS,
  ) {}

  prepare(sql: string): Statement {
    if (!isKept(sql)) return this.compile(sql);
    const statement = this.#known.get(sql) ?? this.compile(sql);
    this.#known.delete(sql);
    this.#known.set(sql, statement);
    if (this.#known.size > this.maxStatements) this.#known.delete(this.#known.keys().next().value as string);
    return statement;
  }
}

// --- internal ---

const MAX_STATEMENTS = 256;
const MAX_TEXT = 16_384;
const OF_TRANSACTIONS = /^(begin|commit|rollback|(release )?savepoint )/;

function isKept(sql: string): boolean {
  return sql.length <= MAX_TEXT && (sql.includes("?") || OF_TRANSACTIONS.test(sql));
}
