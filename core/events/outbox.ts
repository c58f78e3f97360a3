import { defineEntity, type EntityManager, p } from "@mikro-orm/core";
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
}

/** A message before it has its number. */
export type OutboxMessage = Omit<OutboxRow, "seq">;

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
  },
});

export const OUTBOX_ENTITIES: Entities = [OutboxRecord];

/** Numbers the messages and stores them in the transaction of `em`. */
export async function appendToOutbox(em: EntityManager, messages: readonly OutboxMessage[]): Promise<readonly OutboxRow[]> {
  if (messages.length === 0) return [];
  // One counter row instead of a sequence: its lock makes the order of numbers the order of commits, on every database.
  const [head] = await em
    .getConnection()
    .execute<{ last_seq: number | string }[]>(
      "update outbox_head set last_seq = last_seq + ? where id = 1 returning last_seq",
      [messages.length],
      "all",
      em.getTransactionContext(),
    );
  const first = Number(head?.last_seq) - messages.length + 1;
  const rows = messages.map((message, index) => ({ ...message, seq: first + index }));
  await em.insertMany(OutboxRecord, rows.map(toRecord));
  return rows;
}

/** What has been committed and not yet deleted, oldest first. */
export async function readOutbox(em: EntityManager): Promise<readonly OutboxRow[]> {
  const records = await em.find(OutboxRecord, {}, { orderBy: { seq: "asc" } });
  return records.map((record) => ({
    seq: record.seq,
    topic: record.topic,
    key: record.key ?? null,
    payload: record.payload == null ? undefined : JSON.parse(record.payload),
    removed: record.removed,
  }));
}

/** Deletes delivered messages. */
export async function pruneOutbox(em: EntityManager, seqs: readonly number[]): Promise<void> {
  for (let start = 0; start < seqs.length; start += 500) {
    await em.nativeDelete(OutboxRecord, { seq: { $in: seqs.slice(start, start + 500) } });
  }
}

// --- internal ---

function toRecord(row: OutboxRow): { seq: number; topic: string; key: string | null; payload: string | null; removed: boolean } {
  return { ...row, payload: row.payload === undefined ? null : JSON.stringify(row.payload) };
}
