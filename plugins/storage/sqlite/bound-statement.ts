/** A value as SQLite takes it beside the text of a statement. */
export type BoundValue = string | bigint | number | Buffer | null;

/** A statement and the values for its placeholders. */
export interface BoundStatement {
  readonly sql: string;
  readonly values: readonly BoundValue[];
}

/**
 * A statement with its values beside it, of the types that they have when MikroORM writes them into its text. Only limits stand in the
 * text: SQLite looks at a bound one when it compiles, and therefore compiles anew each time.
 * @returns `null` for a statement whose values have to stay in its text: an identifier, a list, an object or a fragment among them, or a
 * question mark that is no placeholder.
 */
export function boundStatement(sql: string, given: readonly unknown[]): BoundStatement | null {
  if (given.length === 0) return { sql, values: [] };
  if (given.length > MAX_VALUES || placeholders(sql) !== given.length) return null;
  const values: BoundValue[] = [];
  for (const value of given) {
    const one = boundValue(value);
    if (one === undefined) return null;
    values.push(one);
  }
  return sql.includes(LIMIT) ? withLimits(sql, values) : { sql, values };
}

// --- internal ---

const MAX_VALUES = 5_000; // SQLite takes 32,766, https://www.sqlite.org/limits.html
const LIMIT = " limit ?";

/** How many there are; -1 where a question mark may be something else. */
function placeholders(sql: string): number {
  // Written by hand for speed: each statement passes here.
  let count = 0;
  for (let at = sql.indexOf("?"); at >= 0; at = sql.indexOf("?", at + 1)) {
    if (sql[at + 1] === "?" || sql[at - 1] === "\\") return -1;
    count += 1;
  }
  return sql.includes("'") ? -1 : count;
}

/** Writes limits into the text; every question mark in it is a placeholder. */
function withLimits(sql: string, values: readonly BoundValue[]): BoundStatement {
  const [texts, others]: [string[], BoundValue[]] = [[], []];
  for (const [index, text] of sql.split("?").entries()) {
    const value = values[index];
    const isLimit = text.endsWith(" limit ") && typeof value === "bigint";
    texts.push(text, isLimit ? value.toString() : "?");
    if (!isLimit && value !== undefined) others.push(value);
  }
  return { sql: texts.slice(0, -1).join(""), values: others };
}

function boundValue(value: unknown): BoundValue | undefined {
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return null;
  if (typeof value === "number") return boundNumber(value);
  if (typeof value === "boolean") return value ? 1n : 0n;
  if (typeof value === "bigint") return value;
  if (value instanceof Date) return boundNumber(value.getTime());
  return Buffer.isBuffer(value) ? value : undefined;
}

/** A plain number is bound as a floating-point one, which a column for texts would keep as "5.0". */
function boundNumber(value: number): BoundValue | undefined {
  if (Number.isSafeInteger(value)) return BigInt(value);
  return Number.isFinite(value) && !Number.isInteger(value) ? value : undefined;
}
