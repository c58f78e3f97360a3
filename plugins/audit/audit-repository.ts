import { defineEntity, type EntityManager, type FilterQuery, type InferEntity, p } from "@mikro-orm/core";
import type { Entities } from "../../core/plugin/database.js";
import { ARCHIVE_ENTITIES } from "./archive-repository.js";
import { SCHEDULE_ENTITIES } from "./archive-schedule-repository.js";
import type { AuditRow, UnchainedRow } from "./audit-row.js";
import { chainHash } from "./canonical-row.js";
import { CURSOR_ENTITIES } from "./cursor-repository.js";

const AuditEventRecord = defineEntity({
  name: "AuditEventRecord",
  tableName: "audit_events",
  properties: {
    seq: p.bigint("number").primary(),
    id: p.text(),
    eventType: p.text(),
    eventCode: p.text(),
    timestamp: p.datetime(3),
    clusterName: p.text(),
    userName: p.text(),
    userRoles: p.text(),
    impersonator: p.text(),
    resourceType: p.text(),
    resourceName: p.text(),
    resourceLabels: p.text(),
    serverId: p.text(),
    serverHostname: p.text(),
    clientIp: p.text(),
    sessionId: p.text(),
    success: p.boolean(),
    errorMessage: p.text(),
    metadata: p.text(),
    hash: p.text(),
  },
});

const AuditHeadRecord = defineEntity({
  name: "AuditHeadRecord",
  tableName: "audit_head",
  properties: {
    id: p.integer().primary(),
    lastSeq: p.bigint("number"),
    lastHash: p.text(),
    baseSeq: p.bigint("number"),
    baseHash: p.text(),
  },
});

export const AUDIT_ENTITIES: Entities = [
  AuditEventRecord,
  AuditHeadRecord,
  ...ARCHIVE_ENTITIES,
  ...SCHEDULE_ENTITIES,
  ...CURSOR_ENTITIES,
];

/** A place in the chain. */
export interface ChainHead {
  readonly seq: number;
  readonly hash: string;
}

/** What the database has of the chain: the events after `base`, up to `head`. */
export interface ChainEnds {
  /** The last event that was removed after it had been archived; number 0 when none was. */
  readonly base: ChainHead;
  readonly head: ChainHead;
}

/** Which events to list. */
export interface EventFilter {
  /** Exact, or a prefix that ends with `*`. */
  readonly eventType?: string;
  readonly userName?: string;
  /** First moment that counts. */
  readonly since?: Date;
  /** First moment that no longer counts. */
  readonly until?: Date;
  /** Where the page before ended. */
  readonly before?: { readonly timestamp: Date; readonly seq: number };
}

/**
 * Puts rows at the end of the chain, in the transaction of `em`; its statements are given to `em` at once.
 * @param head Where the chain ends, as this transaction has found it; `null` when its row is gone. When it ends elsewhere, the
 * database refuses the rows.
 * @returns Where it ends now.
 */
export async function appendRows(em: EntityManager, rows: readonly UnchainedRow[], head: ChainHead | null): Promise<ChainHead> {
  if (head === null) throw new Error("table audit_head has lost its row");
  let { seq, hash } = head;
  const chained: AuditRow[] = [];
  for (const row of rows) {
    seq += 1;
    hash = chainHash(hash, { ...row, seq });
    chained.push({ ...row, seq, hash });
  }
  const written: Promise<unknown>[] = [moveHead(em, head, { seq, hash })];
  // By hand, because each call, login and certificate comes through here: the query builder takes three times as long.
  for (let first = 0; first < chained.length; ) {
    const some = chained.slice(first, first + powerOfTwo(chained.length - first));
    written.push(insertRows(em, some));
    first += some.length;
  }
  await Promise.all(written);
  return { seq, hash };
}

/** Newest first. */
export async function listRows(em: EntityManager, filter: EventFilter, limit: number): Promise<readonly AuditRow[]> {
  const conditions: FilterQuery<InferEntity<typeof AuditEventRecord>>[] = [];
  if (filter.eventType?.endsWith("*")) conditions.push({ eventType: { $like: likePrefix(filter.eventType.slice(0, -1)) } });
  else if (filter.eventType) conditions.push({ eventType: filter.eventType });
  if (filter.userName) conditions.push({ userName: filter.userName });
  if (filter.since) conditions.push({ timestamp: { $gte: filter.since } });
  if (filter.until) conditions.push({ timestamp: { $lt: filter.until } });
  if (filter.before) {
    const { timestamp, seq } = filter.before;
    conditions.push({ timestamp: { $lte: timestamp } }, { $or: [{ timestamp: { $lt: timestamp } }, { seq: { $lt: seq } }] });
  }
  return em.find(
    AuditEventRecord,
    { $and: conditions },
    { orderBy: { timestamp: "desc", seq: "desc" }, limit, disableIdentityMap: true },
  );
}

/** In the order of the chain. */
export async function readChain(em: EntityManager, afterSeq: number, limit: number): Promise<readonly AuditRow[]> {
  return em.find(AuditEventRecord, { seq: { $gt: afterSeq } }, { orderBy: { seq: "asc" }, limit, disableIdentityMap: true });
}

/** `null` when the row of the head is gone. */
export async function readHead(em: EntityManager): Promise<ChainHead | null> {
  const [head] = await em
    .getConnection()
    .execute<{ last_seq: number | string; last_hash: string }[]>(
      "select last_seq, last_hash from audit_head where id = ?",
      [1],
      "all",
      em.getTransactionContext(),
    );
  return head === undefined ? null : { seq: Number(head.last_seq), hash: head.last_hash };
}

/** `null` when the row of the head is gone. */
export async function readEnds(em: EntityManager): Promise<ChainEnds | null> {
  const row = await em.findOne(AuditHeadRecord, { id: 1 }, { disableIdentityMap: true });
  if (row === null) return null;
  return { base: { seq: row.baseSeq, hash: row.baseHash }, head: { seq: row.lastSeq, hash: row.lastHash } };
}

/** Number of the first event that is not older than `moment`; `null` when all are. */
export async function firstSeqSince(em: EntityManager, moment: Date): Promise<number | null> {
  const rows = await em.find(
    AuditEventRecord,
    { timestamp: { $gte: moment } },
    { fields: ["seq"], orderBy: { seq: "asc" }, limit: 1, disableIdentityMap: true },
  );
  return rows[0]?.seq ?? null;
}

/** Removes the events up to `last`, which is one of them, so that the chain begins after it. */
export async function removeUpTo(em: EntityManager, last: ChainHead): Promise<void> {
  await em.nativeDelete(AuditEventRecord, { seq: { $lte: last.seq } });
  await em.nativeUpdate(AuditHeadRecord, { id: 1, baseSeq: { $lt: last.seq } }, { baseSeq: last.seq, baseHash: last.hash });
}

/** Which of these event ids are stored. */
export async function storedIds(em: EntityManager, ids: readonly string[]): Promise<ReadonlySet<string>> {
  const stored = new Set<string>();
  for (let first = 0; first < ids.length; first += IDS_AT_ONCE) {
    const some = ids.slice(first, first + IDS_AT_ONCE);
    const filler = Array.from({ length: 2 ** Math.ceil(Math.log2(some.length)) - some.length }, () => some[0]);
    const asked = [...some, ...filler];
    const sql = `select id from audit_events where id in (${asked.map(() => "?").join(", ")})`;
    const rows = await em.getConnection().execute<{ readonly id: string }[]>(sql, asked, "all", em.getTransactionContext());
    for (const { id } of rows) stored.add(id);
  }
  return stored;
}

// --- internal ---

// In powers of two, so that there are few texts of statements, which the database may know already.
const MAX_ROWS_AT_ONCE = 64;
const IDS_AT_ONCE = 256;

// A literal for each value, as the query builder does it: its escaping, without its model of the row.
const COLUMNS: readonly (readonly [column: string, key: keyof AuditRow])[] = [
  ["seq", "seq"],
  ["id", "id"],
  ["event_type", "eventType"],
  ["event_code", "eventCode"],
  ["timestamp", "timestamp"],
  ["cluster_name", "clusterName"],
  ["user_name", "userName"],
  ["user_roles", "userRoles"],
  ["impersonator", "impersonator"],
  ["resource_type", "resourceType"],
  ["resource_name", "resourceName"],
  ["resource_labels", "resourceLabels"],
  ["server_id", "serverId"],
  ["server_hostname", "serverHostname"],
  ["client_ip", "clientIp"],
  ["session_id", "sessionId"],
  ["success", "success"],
  ["error_message", "errorMessage"],
  ["metadata", "metadata"],
  ["hash", "hash"],
];
const INSERT = `insert into audit_events (${COLUMNS.map(([column]) => column).join(", ")}) values `;
const ONE_ROW = `(${COLUMNS.map(() => "?").join(", ")})`;

/** How many of so many rows go into one statement. */
function powerOfTwo(rows: number): number {
  return Math.min(MAX_ROWS_AT_ONCE, 2 ** Math.floor(Math.log2(rows)));
}

async function moveHead(em: EntityManager, from: ChainHead, to: ChainHead): Promise<void> {
  // Two may not both follow the same row: the column takes no null.
  await em
    .getConnection()
    .execute(
      "update audit_head set last_seq = case when last_seq = ? and last_hash = ? then ? end, last_hash = ? where id = 1",
      [from.seq, from.hash, to.seq, to.hash],
      "run",
      em.getTransactionContext(),
    );
}

async function insertRows(em: EntityManager, rows: readonly AuditRow[]): Promise<void> {
  const values = rows.flatMap((row) => COLUMNS.map(([, key]) => row[key]));
  const sql = INSERT + rows.map(() => ONE_ROW).join(", ");
  await em.getConnection().execute(sql, values, "run", em.getTransactionContext());
}

// Event types hold no wildcard but the underscore, which SQLite and PostgreSQL cannot both be told to take literally.
function likePrefix(prefix: string): string {
  return `${prefix.replaceAll("%", "")}%`;
}
