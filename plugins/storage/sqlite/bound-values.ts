/** A value as SQLite takes it beside the text of a statement. */
export type BoundValue = string | bigint | number | Buffer | null;

/**
 * The values for the placeholders of a statement, of the types that they have when MikroORM writes them into its text.
 * @returns `null` for a statement whose values have to stay in its text: an identifier, a list, an object or a fragment among them, or a
 * question mark that is no placeholder.
 */
export function boundValues(sql: string, values: readonly unknown[]): readonly BoundValue[] | null {
  if (values.length === 0 || values.length > MAX_VALUES || placeholders(sql) !== values.length) return null;
  const bound: BoundValue[] = [];
  for (const value of values) {
    const one = boundValue(value);
    if (one === undefined) return null;
    bound.push(one);
  }
  return bound;
}

// --- internal ---

const MAX_VALUES = 5_000; // SQLite takes 32,766, https://www.sqlite.org/limits.html

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
