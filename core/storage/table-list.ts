import type { EntityManager } from "@mikro-orm/core";

/** A table as the database has it. */
export interface PhysicalTable {
  readonly name: string;
  readonly columns: readonly string[];
}

/** The tables of a database in the order in which they were made, so that none refers to a later one. */
export async function listTables(em: EntityManager): Promise<readonly PhysicalTable[]> {
  const isSqlite = em.getPlatform().constructor.name.includes("Sqlite");
  const rows = await execute<{ readonly table_name: string; readonly column_name: string }>(em, isSqlite ? SQLITE : POSTGRESQL);
  const columns = new Map<string, string[]>();
  for (const { table_name, column_name } of rows) columns.set(table_name, [...(columns.get(table_name) ?? []), column_name]);
  return [...columns].map(([name, names]) => ({ name, columns: names }));
}

export async function countRows(em: EntityManager, table: string): Promise<number> {
  const [row] = await execute<{ readonly count: number | string }>(em, `select count(*) as count from ${quoted(table)}`);
  return Number(row?.count);
}

/** Runs a statement in the transaction of `em`; values are scalars. */
export function execute<Row>(em: EntityManager, sql: string, values: readonly unknown[] = []): Promise<readonly Row[]> {
  return em.getConnection().execute<Row[]>(sql, [...values], "all", em.getTransactionContext());
}

/** Names come from the database's own catalogue. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

// --- internal ---

const SQLITE =
  "select t.name as table_name, c.name as column_name from sqlite_master t, pragma_table_info(t.name) c where t.type = 'table' and t.name not like 'sqlite_%' order by t.rowid, c.cid";
const POSTGRESQL =
  "select t.relname as table_name, c.attname as column_name from pg_class t join pg_attribute c on c.attrelid = t.oid where t.relnamespace = current_schema()::regnamespace and t.relkind = 'r' and c.attnum > 0 and not c.attisdropped order by t.oid, c.attnum";
