import { defineEntity, type EntityManager, p } from "@mikro-orm/core";
import type { FactorKind, StoredFactor } from "./factor.js";

export const FactorRecord = defineEntity({
  name: "MfaFactorRecord",
  tableName: "mfa_factors",
  properties: {
    id: p.text().primary(),
    userName: p.text(),
    kind: p.text(),
    name: p.text(),
    createdAt: p.datetime(),
    lastUsedAt: p.datetime().nullable(),
    sealedSecret: p.text().nullable(),
    lastStep: p.integer().nullable(),
    credentialId: p.text().nullable(),
    publicKey: p.text().nullable(),
    counter: p.bigint("number").nullable(),
    transports: p.text().nullable(),
    rpId: p.text().nullable(),
  },
});

/** Stores a new factor. */
export async function insertFactor(em: EntityManager, factor: StoredFactor): Promise<void> {
  if (factor.kind === "totp") await em.insert(FactorRecord, { ...factor });
  else await em.insert(FactorRecord, { ...factor, transports: factor.transports.join(",") });
}

/** The factors of a person, oldest first. */
export async function findFactors(em: EntityManager, userName: string): Promise<readonly StoredFactor[]> {
  const records = await em.find(FactorRecord, { userName }, { orderBy: { createdAt: "asc", id: "asc" } });
  return records.map(fromRecord);
}

/** Tells whether anybody has this credential. @param credentialId Base64url. */
export async function hasCredential(em: EntityManager, credentialId: string): Promise<boolean> {
  return (await em.count(FactorRecord, { credentialId })) > 0;
}

/**
 * Notes that the code of a time step was taken.
 * @returns `false` when this step or a later one was taken before, or the factor is gone.
 */
export async function takeStep(em: EntityManager, id: string, step: number, now: Date): Promise<boolean> {
  const where = { id, lastStep: { $lt: step } };
  return (await em.nativeUpdate(FactorRecord, where, { lastStep: step, lastUsedAt: now })) === 1;
}

/**
 * Moves the counter of a WebAuthn credential on.
 * @returns `false` when it is another by now, or the factor is gone.
 */
export async function moveCounter(
  em: EntityManager,
  id: string,
  counter: { readonly from: number; readonly to: number },
  now: Date,
): Promise<boolean> {
  const where = { id, counter: counter.from };
  return (await em.nativeUpdate(FactorRecord, where, { counter: counter.to, lastUsedAt: now })) === 1;
}

/** Deletes a factor; one that is gone already is no error. */
export async function deleteFactor(em: EntityManager, id: string): Promise<void> {
  await em.nativeDelete(FactorRecord, { id });
}

/** Deletes all factors of a user. */
export async function deleteFactorsOf(em: EntityManager, userName: string): Promise<void> {
  await em.nativeDelete(FactorRecord, { userName });
}

// --- internal ---

interface FactorRow {
  readonly id: string;
  readonly userName: string;
  readonly kind: string;
  readonly name: string;
  readonly createdAt: Date;
  readonly lastUsedAt?: Date | null;
  readonly sealedSecret?: string | null;
  readonly lastStep?: number | null;
  readonly credentialId?: string | null;
  readonly publicKey?: string | null;
  readonly counter?: number | null;
  readonly transports?: string | null;
  readonly rpId?: string | null;
}

function fromRecord(row: FactorRow): StoredFactor {
  const { id, userName, name, createdAt } = row;
  const common = { id, userName, name, createdAt, lastUsedAt: row.lastUsedAt ?? null };
  const kind = row.kind as FactorKind;
  if (kind === "totp") return { ...common, kind, sealedSecret: row.sealedSecret ?? "", lastStep: row.lastStep ?? 0 };
  return {
    ...common,
    kind,
    credentialId: row.credentialId ?? "",
    publicKey: row.publicKey ?? "",
    counter: row.counter ?? 0,
    transports: (row.transports ?? "").split(",").filter((word) => word !== ""),
    rpId: row.rpId ?? "",
  };
}
