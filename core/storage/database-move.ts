import { setTimeout as delay } from "node:timers/promises";
import type { EntityManager } from "@mikro-orm/core";
import { listServers } from "../cluster/server-records.js";
import { MezError } from "../errors/error.js";
import type { OpenDatabase } from "./database.js";
import { readMoveNote, writeMoveNote } from "./move-note.js";
import { entityCopy, plainCopy, type TableCopy } from "./table-copy.js";
import { countRows, execute, listTables, type PhysicalTable, quoted } from "./table-list.js";

/** A database to move from or to, opened and brought up to date. */
export interface MoveEnd {
  readonly open: OpenDatabase;
  /** For people. */
  readonly place: string;
}

export interface MoveOptions {
  readonly source: MoveEnd;
  readonly target: MoveEnd;
  /** Told when a table is copied and compared. */
  readonly onTable: (name: string, rows: number) => void;
}

/**
 * Copies everything that a cluster has into an empty database, and compares each row with what was written. Nobody writes to the
 * old one meanwhile.
 * @returns Rows.
 * @throws {MezError} `STORAGE_IN_USE` when an auth server has the old one open; `STORAGE_NOT_EMPTY`; `PLUGIN_NOT_ENABLED` when the old one has
 * tables that the new one does not; `STORAGE_CORRUPT` when a row differs
 */
export async function moveDatabase({ source, target, onTable }: MoveOptions): Promise<number> {
  const from = source.open.database;
  const to = target.open.database;
  await refuseServers(source);
  await refuseServers(target);
  const tables = (await to.read(listTables)).filter(({ name }) => isContent(name));
  await refuseMissing(source, tables);
  await refuseRows(target, tables);
  let rows = 0;
  // One transaction around all reading: it keeps every writer out, and sees one state.
  await from.transaction(async ({ em: reader }) => {
    await to.transaction(({ em }) => writeMoveNote(em, { fromPlace: source.place, rows: 0, complete: false }));
    for (const table of tables) {
      const copied = await copyTable(reader, target, table);
      rows += copied;
      onTable(table.name, copied);
    }
    await to.transaction(({ em }) => writeMoveNote(em, { fromPlace: source.place, rows, complete: true }));
  });
  return rows;
}

// --- internal ---

/** Tables that tell of a database and not of the cluster: what has run here, who has it open. */
function isContent(name: string): boolean {
  return (
    !name.startsWith("migrations_") && !["cluster_servers", "cluster_duties", "cluster_plugins", "database_moves"].includes(name)
  );
}

async function copyTable(reader: EntityManager, { open }: MoveEnd, table: PhysicalTable): Promise<number> {
  const copy = copyOf(reader, table);
  let rows = 0;
  const empty = (em: EntityManager) => execute(em, `delete from ${quoted(table.name)}`);
  for await (const batch of copy.read(reader)) {
    await open.database.transaction(async ({ em }) => {
      // In place of what migrations put there; in one transaction, as each of them needs the head of the outbox.
      if (rows === 0) await empty(em);
      await copy.write(em, batch);
    });
    rows += batch.length;
  }
  if (rows === 0) await open.database.transaction(({ em }) => empty(em));
  const counts = [await countRows(reader, table.name), await open.database.read((em) => countRows(em, table.name))];
  if (counts.some((count) => count !== rows))
    throw new MezError("STORAGE_CORRUPT", `table ${table.name} has ${counts.join(" and ")} rows, and ${rows} were copied`);
  return rows;
}

function copyOf(em: EntityManager, table: PhysicalTable): TableCopy {
  const meta = [...em.getMetadata().getAll().values()].find(({ tableName }) => tableName === table.name);
  return meta === undefined ? plainCopy(table) : entityCopy(meta, table);
}

async function refuseServers({ open, place }: MoveEnd): Promise<void> {
  const before = await open.database.read(listServers);
  if (before.length === 0) return;
  // One that was killed is on the list as well, and counts no more.
  await delay(LIFE_SIGN_MS);
  const after = new Map((await open.database.read(listServers)).map(({ id, beats }) => [id, beats]));
  const living = before.find(({ id, beats }) => after.has(id) && after.get(id) !== beats);
  if (living !== undefined)
    throw new MezError("STORAGE_IN_USE", `the auth server on ${living.name} uses ${place}; stop all auth servers first`);
}

/** A plugin that is switched off keeps its tables: they would be left behind. */
async function refuseMissing({ open, place }: MoveEnd, tables: readonly PhysicalTable[]): Promise<void> {
  const known = new Set(tables.map(({ name }) => name));
  for (const { name } of await open.database.read(listTables)) {
    if (!isContent(name) || known.has(name) || (await open.database.read((em) => countRows(em, name))) === 0) continue;
    throw new MezError(
      "PLUGIN_NOT_ENABLED",
      `${place} has a table ${name} of a plugin that the new configuration does not switch on; switch it on for the move`,
    );
  }
}

async function refuseRows({ open, place }: MoveEnd, tables: readonly PhysicalTable[]): Promise<void> {
  const isFilled = await open.database.read(async (em) => {
    if ((await readMoveNote(em)) !== null) return true;
    for (const { name } of tables) if (!(await isFresh(em, name))) return true;
    return false;
  });
  if (isFilled) throw new MezError("STORAGE_NOT_EMPTY", `${place} is not empty; make a new database and move there`);
}

/** Empty, or with the one row that migrations put there to count from 0. */
async function isFresh(em: EntityManager, table: string): Promise<boolean> {
  const rows = await execute<Readonly<Record<string, unknown>>>(em, `select * from ${quoted(table)} limit 2`);
  if (rows.length !== 1) return rows.length === 0;
  const { id, ...counters } = rows[0] ?? {};
  return Number(id) === 1 && Object.values(counters).some((value) => value === 0 || value === "0");
}

const LIFE_SIGN_MS = 5_000;
