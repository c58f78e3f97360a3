import { randomUUID } from "node:crypto";
import { defineEntity, type EntityManager, type FilterQuery, type InferEntity, p } from "@mikro-orm/core";
import { MezError } from "../errors/error.js";
import type { Entities } from "../plugin/database.js";

/** A message that was written in the transaction it tells of, and is delivered after the commit, in order of `seq`. */
export interface OutboxRow {
  /** Rises by commit order, without gaps within a transaction; never used twice. */
  readonly seq: number;
  /** `event:<name>@<version>` or `collection:<name>@<version>`. */
  readonly topic: string;
  /** The entry of a collection that changed; `null` for events. */
  readonly key: string | null;
  /** The event, or the new value; `undefined` for an entry that is gone. */
  readonly payload: unknown;
  /** True when an entry of a collection is gone. */
  readonly removed: boolean;
  /** Names the commit; a number that is found under another one belongs to another history. */
  readonly commitId: string;
  /** The server that delivers an event; `null` for changes of collections, and when it is done. */
  readonly server: string | null;
}

/** A message that this process has delivered. */
export type DeliveredRow = Pick<OutboxRow, "seq" | "server">;

/** A message before it has its number. */
export type OutboxMessage = Omit<OutboxRow, "seq" | "commitId" | "server">;

/** How far the outbox has come. */
export interface OutboxHead {
  /** 0 before the first message. */
  readonly seq: number;
  /** Of the commit that wrote it; empty before the first message. */
  readonly commitId: string;
}

/** The head as the database has it. */
export interface StoredHead extends OutboxHead {
  /** Counts the starts of servers that changed tables. */
  readonly schema: number;
}

/** The topic of an event type. */
export function eventTopic(type: { readonly name: string; readonly version: number }): string {
  return `event:${type.name}@${type.version}`;
}

/** The topic of a collection kind. */
export function collectionTopic(kind: { readonly name: string; readonly version: number }): string {
  return `collection:${kind.name}@${kind.version}`;
}

const OutboxRecord = defineEntity({
  name: "OutboxRecord",
  tableName: "outbox",
  properties: {
    seq: p.bigint("number").primary(),
    topic: p.text(),
    key: p.text().nullable(),
    payload: p.text().nullable(),
    removed: p.boolean(),
    commitId: p.text().nullable(),
    server: p.text().nullable(),
  },
});

export const OUTBOX_ENTITIES: Entities = [OutboxRecord];

/** Reads how far the outbox has come; with `lock`, keeps all other writers of a shared database out until the transaction ends. */
export async function readOutboxHead(em: EntityManager, { lock }: { readonly lock: boolean }): Promise<StoredHead> {
  const [head] = await em
    .getConnection()
    .execute<{ last_seq: number | string; commit_id: string | null; schema_changes: number | string }[]>(
      `select last_seq, commit_id, schema_changes from outbox_head where id = 1${lock ? " for update" : ""}`,
      [],
      "all",
      em.getTransactionContext(),
    );
  // It is the lock of all writers as well: without it nobody may write.
  if (head === undefined) throw new MezError("STORAGE_CORRUPT", "table outbox_head has lost its row");
  return { seq: Number(head.last_seq), commitId: head.commit_id ?? "", schema: Number(head.schema_changes) };
}

/**
 * Numbers the messages and stores them in the transaction of `em`.
 * @param server The one that delivers the events among them.
 * @param head Where this transaction has found the outbox, when it has locked it: then all statements are given to `em` at once.
 */
export async function appendToOutbox(
  em: EntityManager,
  messages: readonly OutboxMessage[],
  server: string,
  head: OutboxHead | null = null,
): Promise<readonly OutboxRow[]> {
  if (messages.length === 0) return [];
  const commitId = randomUUID();
  const taken = takeNumbers(em, messages.length, commitId, head);
  taken.catch(() => "thrown where it is waited for");
  const before = head === null ? (await taken) - messages.length : head.seq;
  const rows = messages.map((message, index) => ({
    ...message,
    seq: before + 1 + index,
    commitId,
    server: isEvent(message) ? server : null,
  }));
  await Promise.all([taken, insertRows(em, rows)]);
  return rows;
}

/** What has been committed and not yet deleted, oldest first. */
export function readOutbox(em: EntityManager): Promise<readonly OutboxRow[]> {
  return find(em, {});
}

/** The messages from one number to another, both included, as far as they have not been deleted. */
export function readOutboxBetween(em: EntityManager, first: number, last: number): Promise<readonly OutboxRow[]> {
  return find(em, { seq: { $gte: first, $lte: last } });
}

/** The messages from one number on. */
export async function readOutboxFrom(em: EntityManager, first: number): Promise<readonly OutboxRow[]> {
  // By hand, because each transaction on a shared database comes through here.
  const records = await em
    .getConnection()
    .execute<StoredRow[]>(
      `select ${COLUMNS} from outbox where seq >= ? order by seq`,
      [first],
      "all",
      em.getTransactionContext(),
    );
  return records.map((record: StoredRow) => ({
    seq: Number(record.seq),
    topic: record.topic,
    key: record.key,
    payload: record.payload === null ? undefined : JSON.parse(record.payload),
    removed: Boolean(record.removed),
    commitId: record.commit_id ?? "",
    server: record.server,
  }));
}

/** Deletes messages. */
export async function pruneOutbox(em: EntityManager, seqs: readonly number[]): Promise<void> {
  for (const some of chunks(seqs)) await em.nativeDelete(OutboxRecord, { seq: { $in: [...some] } });
}

/** Notes that events are delivered; their rows stay for other servers to see. */
export async function markDelivered(em: EntityManager, seqs: readonly number[]): Promise<void> {
  for (const some of chunks(seqs)) await em.nativeUpdate(OutboxRecord, { seq: { $in: [...some] } }, { server: null });
}

/** Deletes what has been delivered, up to a number. */
export async function pruneOutboxUpTo(em: EntityManager, seq: number): Promise<void> {
  await em.nativeDelete(OutboxRecord, { seq: { $lte: seq }, server: null });
}

/** Gives `server` the events that nobody of `servers` delivers, and returns them, oldest first. */
export async function adoptEvents(em: EntityManager, server: string, servers: readonly string[]): Promise<readonly OutboxRow[]> {
  const orphans = { server: { $ne: null, $nin: [...servers] } };
  const rows = await find(em, orphans);
  if (rows.length > 0) await em.nativeUpdate(OutboxRecord, orphans, { server });
  return rows.map((row) => ({ ...row, server }));
}

// --- internal ---

function isEvent({ topic }: { readonly topic: string }): boolean {
  return topic.startsWith("event:");
}

function* chunks(seqs: readonly number[]): Iterable<readonly number[]> {
  for (let start = 0; start < seqs.length; start += 500) yield seqs.slice(start, start + 500);
}

async function find(em: EntityManager, where: FilterQuery<InferEntity<typeof OutboxRecord>>): Promise<readonly OutboxRow[]> {
  const records = await em.find(OutboxRecord, where, { orderBy: { seq: "asc" }, disableIdentityMap: true });
  return records.map((record) => ({
    seq: record.seq,
    topic: record.topic,
    key: record.key ?? null,
    payload: record.payload == null ? undefined : JSON.parse(record.payload),
    removed: record.removed,
    commitId: record.commitId ?? "",
    server: record.server ?? null,
  }));
}

interface StoredRow {
  readonly seq: number | string;
  readonly topic: string;
  readonly key: string | null;
  readonly payload: string | null;
  readonly removed: boolean | number;
  readonly commit_id: string | null;
  readonly server: string | null;
}

const COLUMNS = "seq, topic, key, payload, removed, commit_id, server";

/** @returns The last of so many numbers. */
async function takeNumbers(em: EntityManager, count: number, commitId: string, head: OutboxHead | null): Promise<number> {
  // One counter row instead of a sequence: its lock makes the order of numbers the order of commits, on every database. The
  // column takes no null, should somebody have written beside the lock.
  const [next, values] =
    head === null ? ["last_seq + ?", [count]] : ["case when last_seq = ? then ? end", [head.seq, head.seq + count]];
  const [taken] = await em
    .getConnection()
    .execute<{ last_seq: number | string }[]>(
      `update outbox_head set last_seq = ${next}, commit_id = ? where id = 1 returning last_seq`,
      [...values, commitId],
      "all",
      em.getTransactionContext(),
    );
  return Number(taken?.last_seq);
}

async function insertRows(em: EntityManager, rows: readonly OutboxRow[]): Promise<void> {
  const inserts: Promise<unknown>[] = [];
  for (let first = 0; first < rows.length; first += ROWS_AT_ONCE) {
    const some = rows.slice(first, first + ROWS_AT_ONCE);
    const values = some.flatMap((row) => [
      row.seq,
      row.topic,
      row.key,
      row.payload === undefined ? null : JSON.stringify(row.payload),
      row.removed,
      row.commitId,
      row.server,
    ]);
    const sql = `insert into outbox (${COLUMNS}) values ${some.map(() => "(?, ?, ?, ?, ?, ?, ?)").join(", ")}`;
    inserts.push(em.getConnection().execute(sql, values, "run", em.getTransactionContext()));
  }
  await Promise.all(inserts);
}

const ROWS_AT_ONCE = 100;
