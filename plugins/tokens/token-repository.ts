import { defineEntity, type EntityManager, p } from "@mikro-orm/core";
import type { JoinTokenServerKeys } from "../../core/join/join-token-keys.js";
import type { Entities } from "../../core/plugin/database.js";
import type { JoinRole, JoinToken } from "./api.js";

const JoinTokenRecord = defineEntity({
  name: "JoinTokenRecord",
  tableName: "join_tokens",
  properties: {
    id: p.text().primary(),
    name: p.text().nullable(),
    roles: p.text(),
    serverKey: p.text(),
    clientPublicKey: p.text(),
    createdBy: p.text(),
    createdAt: p.datetime(),
    expiresAt: p.datetime(),
    usedAt: p.datetime().nullable(),
    requestHash: p.text().nullable(),
  },
});

export const TOKEN_ENTITIES: Entities = [JoinTokenRecord];

/** A token as it is stored. */
export interface StoredToken {
  readonly token: JoinToken;
  readonly keys: JoinTokenServerKeys;
  /** SHA-256 of the request that used it, `null` while it is unused. */
  readonly requestHash: Buffer | null;
}

/** Stores a new join token: the keys derived from it, and not the token. */
export async function insertToken(em: EntityManager, { token, keys }: StoredToken): Promise<void> {
  await em.insert(JoinTokenRecord, {
    ...token,
    roles: token.roles.join(","),
    serverKey: keys.serverKey.toString("base64"),
    clientPublicKey: keys.clientPublicKey.toString("base64"),
    requestHash: null,
  });
}

/** A join token by its id, `null` when there is none. */
export async function findToken(em: EntityManager, id: string): Promise<StoredToken | null> {
  const record = await em.findOne(JoinTokenRecord, { id });
  return record === null ? null : fromRecord(record);
}

/** Tokens that are unused and live at `now`, newest first. */
export async function findActiveTokens(em: EntityManager, now: Date): Promise<readonly JoinToken[]> {
  const records = await em.find(
    JoinTokenRecord,
    { usedAt: null, expiresAt: { $gt: now } },
    { orderBy: { createdAt: "desc", id: "asc" } },
  );
  return records.map((record) => fromRecord(record).token);
}

/** Marks a token as used; `false` when it was used before. */
export async function markUsed(em: EntityManager, id: string, usedAt: Date, requestHash: Buffer): Promise<boolean> {
  return (
    (await em.nativeUpdate(JoinTokenRecord, { id, usedAt: null }, { usedAt, requestHash: requestHash.toString("base64") })) === 1
  );
}

/** Deletes a join token; nobody can join with it after the commit. */
export async function deleteToken(em: EntityManager, id: string): Promise<void> {
  await em.nativeDelete(JoinTokenRecord, { id });
}

/** @returns How many were deleted. */
export async function deleteExpiredTokens(em: EntityManager, now: Date): Promise<number> {
  return em.nativeDelete(JoinTokenRecord, { expiresAt: { $lte: now } });
}

/** Tells whether any token has expired by `now`. */
export async function hasExpiredTokens(em: EntityManager, now: Date): Promise<boolean> {
  return (await em.count(JoinTokenRecord, { expiresAt: { $lte: now } })) > 0;
}

// --- internal ---

interface TokenRecord {
  id: string;
  name?: string | null;
  roles: string;
  serverKey: string;
  clientPublicKey: string;
  createdBy: string;
  createdAt: Date;
  expiresAt: Date;
  usedAt?: Date | null;
  requestHash?: string | null;
}

function fromRecord(record: TokenRecord): StoredToken {
  const { id, roles, createdBy, createdAt, expiresAt } = record;
  return {
    token: {
      id,
      name: record.name ?? null,
      roles: roles.split(",") as JoinRole[],
      createdBy,
      createdAt,
      expiresAt,
      usedAt: record.usedAt ?? null,
    },
    keys: {
      id: Buffer.from(id, "hex"),
      serverKey: Buffer.from(record.serverKey, "base64"),
      clientPublicKey: Buffer.from(record.clientPublicKey, "base64"),
    },
    requestHash: record.requestHash == null ? null : Buffer.from(record.requestHash, "base64"),
  };
}
