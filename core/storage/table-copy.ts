import { isDeepStrictEqual } from "node:util";
import type { EntityManager, EntityMetadata } from "@mikro-orm/core";
import { MezError } from "../errors/error.js";
import { execute, type PhysicalTable, quoted } from "./table-list.js";

type Row = Readonly<Record<string, unknown>>;

/** Rows of one table, a batch after the other, and where they go. */
export interface TableCopy {
  /** In the order of the key. */
  read(source: EntityManager): AsyncIterable<readonly Row[]>;
  /** Writes a batch, reads it again and compares. @throws {MezError} `STORAGE_CORRUPT` */
  write(target: EntityManager, rows: readonly Row[]): Promise<void>;
}

/** Copies a table by its entity, which knows how each database keeps dates, bytes and booleans. */
export function entityCopy(meta: EntityMetadata, table: PhysicalTable): TableCopy {
  const fields = meta.props.filter(({ persist }) => persist !== false).flatMap(({ fieldNames }) => fieldNames);
  const unknown = table.columns.find((column) => !fields.includes(column));
  if (unknown !== undefined)
    throw new MezError("INTERNAL", "internal error", { detail: `no entity knows the column ${table.name}.${unknown}` });
  const keys = meta.primaryKeys as readonly string[];
  const orderBy = Object.fromEntries(keys.map((key) => [key, "asc" as const]));
  const plain = (entity: object): Row => Object.fromEntries(meta.props.map(({ name }) => [name, (entity as Row)[name] ?? null]));
  const find = async (em: EntityManager, where: object, offset: number, limit: number): Promise<readonly Row[]> =>
    (await em.find(meta.class as never, where as never, { orderBy, offset, limit, disableIdentityMap: true } as never)).map(
      plain,
    );
  return {
    async *read(source) {
      const [key] = keys;
      let [offset, after] = [0, {} as object];
      for (;;) {
        const rows = await find(source, after, offset, BATCH_ROWS);
        const last = rows.at(-1);
        if (last === undefined) return;
        yield rows;
        if (keys.length === 1 && key !== undefined) after = { [key]: { $gt: last[key] } };
        else offset += rows.length;
      }
    },
    async write(target, rows) {
      await target.insertMany(meta.class as never, rows.map((row) => ({ ...row })) as never);
      const where = { $or: rows.map((row) => Object.fromEntries(keys.map((key) => [key, row[key]]))) };
      const written = new Map((await find(target, where, 0, rows.length + 1)).map((row) => [keyOf(row, keys), row]));
      for (const row of rows) if (!isDeepStrictEqual(written.get(keyOf(row, keys)), row)) throw different(table.name);
    },
  };
}

/** Copies a table without an entity, which has numbers and texts alone and few rows. */
export function plainCopy({ name, columns }: PhysicalTable): TableCopy {
  const list = columns.map(quoted).join(", ");
  const select = `select ${list} from ${quoted(name)} order by ${quoted(columns[0] as string)}`;
  const all = async (em: EntityManager): Promise<readonly Row[]> => (await execute<Row>(em, select)).map(scalars);
  return {
    async *read(source) {
      yield await all(source);
    },
    async write(target, rows) {
      for (const row of rows) {
        const values = columns.map((column) => row[column]);
        await execute(target, `insert into ${quoted(name)} (${list}) values (${columns.map(() => "?").join(", ")})`, values);
      }
      if (!isDeepStrictEqual(await all(target), rows)) throw different(name);
    },
  };
}

// --- internal ---

const BATCH_ROWS = 200;

function keyOf(row: Row, keys: readonly string[]): string {
  return JSON.stringify(keys.map((key) => row[key]));
}

/** PostgreSQL gives large integers as text. */
function scalars(row: Row): Row {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => {
      const isScalar = value === null || typeof value === "number" || typeof value === "string";
      if (!isScalar) throw new MezError("INTERNAL", "internal error", { detail: `column ${name} is no number and no text` });
      return [name, value === null ? null : String(value)];
    }),
  );
}

function different(table: string): MezError {
  return new MezError(
    "STORAGE_CORRUPT",
    `a row of ${table} is not the same in the new database; nothing was changed in the old one`,
  );
}
