import { defineEntity, type EntityManager, p } from "@mikro-orm/core";
import type { ProvenKind } from "./api.js";
import type { Ceremony, CeremonyPurpose } from "./ceremony.js";

export const CeremonyRecord = defineEntity({
  name: "MfaCeremonyRecord",
  tableName: "mfa_ceremonies",
  properties: {
    id: p.text().primary(),
    purpose: p.text(),
    userName: p.text(),
    clientAddress: p.text(),
    holderHash: p.text(),
    linkHash: p.text(),
    checkCode: p.text(),
    mayEnrol: p.boolean(),
    minimum: p.text(),
    factorName: p.text(),
    provenKind: p.text().nullable(),
    provenFactorId: p.text().nullable(),
    challenge: p.text().nullable(),
    pendingSecret: p.text().nullable(),
    failures: p.integer(),
    createdAt: p.datetime(),
    expiresAt: p.datetime(),
  },
});

/** Stores a ceremony; of one person only the newest 30 are kept. */
export async function insertCeremony(em: EntityManager, ceremony: Ceremony): Promise<void> {
  const { userName } = ceremony;
  const others = await em.find(CeremonyRecord, { userName }, { orderBy: { createdAt: "desc", id: "asc" }, fields: ["id"] });
  for (const { id } of others.slice(MAX_CEREMONIES - 1)) await deleteCeremony(em, id);
  await em.insert(CeremonyRecord, { ...ceremony });
}

/** @param token Which of the two secrets `hash` is of. */
export async function findCeremony(em: EntityManager, token: "holder" | "link", hash: string): Promise<Ceremony | null> {
  const record = await em.findOne(CeremonyRecord, token === "holder" ? { holderHash: hash } : { linkHash: hash });
  if (record === null) return null;
  return {
    ...record,
    purpose: record.purpose as CeremonyPurpose,
    minimum: record.minimum as Ceremony["minimum"],
    provenKind: (record.provenKind ?? null) as ProvenKind | null,
    provenFactorId: record.provenFactorId ?? null,
    challenge: record.challenge ?? null,
    pendingSecret: record.pendingSecret ?? null,
  };
}

/** Changes what has happened in a ceremony so far. */
export async function updateCeremony(
  em: EntityManager,
  id: string,
  change: Partial<Pick<Ceremony, "provenKind" | "provenFactorId" | "challenge" | "pendingSecret" | "failures">>,
): Promise<void> {
  await em.nativeUpdate(CeremonyRecord, { id }, change);
}

/** Deletes a ceremony; nobody can go on with it. */
export async function deleteCeremony(em: EntityManager, id: string): Promise<void> {
  await em.nativeDelete(CeremonyRecord, { id });
}

/** Deletes all ceremonies of a user. @returns The ids of what was under way. */
export async function deleteCeremoniesOf(em: EntityManager, userName: string): Promise<readonly string[]> {
  const ids = (await em.find(CeremonyRecord, { userName }, { fields: ["id"] })).map(({ id }) => id);
  await em.nativeDelete(CeremonyRecord, { userName });
  return ids;
}

/** Deletes the ceremonies in which a user adds factors, but for one and for links, which come from nowhere. @returns Their ids. */
export async function deleteOwnEnrolments(
  em: EntityManager,
  userName: string,
  exceptId: string | null,
): Promise<readonly string[]> {
  const others = exceptId === null ? {} : { id: { $ne: exceptId } };
  const where = { userName, purpose: "enrol", clientAddress: { $ne: "" }, ...others };
  const ids = (await em.find(CeremonyRecord, where, { fields: ["id"] })).map(({ id }) => id);
  await em.nativeDelete(CeremonyRecord, where);
  return ids;
}

/** @returns How many had expired. */
export async function deleteExpiredCeremonies(em: EntityManager, now: Date): Promise<number> {
  return em.nativeDelete(CeremonyRecord, { expiresAt: { $lte: now } });
}

/** Tells whether any ceremony has ended by `now`. */
export async function hasExpiredCeremonies(em: EntityManager, now: Date): Promise<boolean> {
  return (await em.count(CeremonyRecord, { expiresAt: { $lte: now } })) > 0;
}

// --- internal ---

const MAX_CEREMONIES = 30;
