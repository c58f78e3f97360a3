import { defineEntity, type EntityManager, type InferEntity, p } from "@mikro-orm/core";
import type { AuthorityType, RotationPhase } from "./api.js";

/** An authority and where it stands in a rotation. */
export const AuthorityEntity = defineEntity({
  name: "CertificateAuthority",
  tableName: "ca_authorities",
  properties: {
    type: p.text().primary().$type<AuthorityType>(),
    phase: p.text().$type<RotationPhase>(),
    phaseSince: p.datetime(),
  },
});

/** One key of an authority. Those with the same generation were made together. */
export const AuthorityKeyEntity = defineEntity({
  name: "CertificateAuthorityKey",
  tableName: "ca_keys",
  properties: {
    id: p.text().primary(),
    authority: p.text().$type<AuthorityType>(),
    generation: p.integer(),
    usage: p.text().$type<KeyUsage>(),
    /** Name under the port KEY_BACKEND, and the handle there. */
    backend: p.text(),
    handle: p.text(),
    /** SubjectPublicKeyInfo, DER in base64. */
    publicKey: p.text(),
    /** Self-signed, PEM; `null` for keys that are not `x509`. */
    certificate: p.text().nullable(),
    state: p.text().$type<KeyState>(),
    createdAt: p.datetime(),
  },
});

/** How many certificates of one set of keys end in the same ten minutes. */
export const IssuedCertificatesEntity = defineEntity({
  name: "IssuedCertificates",
  tableName: "ca_issued",
  properties: {
    id: p.text().primary(),
    authority: p.text().$type<AuthorityType>(),
    generation: p.integer(),
    expiresAt: p.datetime(),
    count: p.integer(),
  },
});

/** What a key signs: SSH certificates, X.509 certificates, or tokens. */
export type KeyUsage = "ssh" | "x509" | "jwt";

/**
 * An `active` key signs and is trusted, a `trusted` one is trusted only, a `retired` one is neither and waits to be
 * destroyed. Each authority has one active key for each usage.
 */
export type KeyState = "active" | "trusted" | "retired";

export type AuthorityRow = InferEntity<typeof AuthorityEntity>;
export type AuthorityKeyRow = InferEntity<typeof AuthorityKeyEntity>;
export type IssuedCertificatesRow = InferEntity<typeof IssuedCertificatesEntity>;

/** By type. */
export function findAuthorities(em: EntityManager): Promise<readonly AuthorityRow[]> {
  return em.find(AuthorityEntity, {}, { orderBy: { type: "asc" } });
}

/** Those that count: active keys first, then the newest. */
export function findAuthorityKeys(em: EntityManager): Promise<readonly AuthorityKeyRow[]> {
  return em.find(AuthorityKeyEntity, { state: { $ne: "retired" } }, { orderBy: { state: "asc", generation: "desc" } });
}

/** Stores a new authority with its keys. */
export async function insertAuthority(
  em: EntityManager,
  authority: AuthorityRow,
  keys: readonly AuthorityKeyRow[],
): Promise<void> {
  await em.insert(AuthorityEntity, authority);
  await insertAuthorityKeys(em, keys);
}

/** An authority with the phase of its rotation, `null` before the first start. */
export function findAuthority(em: EntityManager, type: AuthorityType): Promise<AuthorityRow | null> {
  return em.findOne(AuthorityEntity, { type });
}

/** Stores keys of authorities that exist. */
export async function insertAuthorityKeys(em: EntityManager, keys: readonly AuthorityKeyRow[]): Promise<void> {
  for (const key of keys) await em.insert(AuthorityKeyEntity, key);
}

/** Moves an authority to a phase of its rotation. */
export async function updatePhase(em: EntityManager, type: AuthorityType, phase: RotationPhase, since: Date): Promise<void> {
  await em.nativeUpdate(AuthorityEntity, { type }, { phase, phaseSince: since });
}

/** Stores the states of keys that belong to one authority. */
export async function updateKeyStates(em: EntityManager, keys: readonly AuthorityKeyRow[]): Promise<void> {
  // The active ones last: the table lets two be active at no time.
  const sorted = [...keys].sort((a, b) => Number(a.state === "active") - Number(b.state === "active"));
  for (const { id, state } of sorted) await em.nativeUpdate(AuthorityKeyEntity, { id }, { state });
}

/** The highest generation that an authority ever stored keys of and still holds. */
export async function lastGeneration(em: EntityManager, authority: AuthorityType): Promise<number> {
  const [last] = await em.find(AuthorityKeyEntity, { authority }, { orderBy: { generation: "desc" }, limit: 1 });
  return last?.generation ?? 0;
}

/** Keys that no rotation needs any more and whose private halves are to be destroyed. */
export function findRetiredKeys(em: EntityManager): Promise<readonly AuthorityKeyRow[]> {
  return em.find(AuthorityKeyEntity, { state: "retired" });
}

/** Deletes what is stored of a key; its private half lies with the key backend. */
export async function deleteKey(em: EntityManager, id: string): Promise<void> {
  await em.nativeDelete(AuthorityKeyEntity, { id });
}

/** How many certificates were issued, by set of keys and expiry. */
export async function findIssued(em: EntityManager): Promise<readonly IssuedCertificatesRow[]> {
  return em.find(IssuedCertificatesEntity, {}, { disableIdentityMap: true });
}

/** Stores counts of issued certificates in place of those with the same id. */
export async function storeIssued(em: EntityManager, rows: readonly IssuedCertificatesRow[]): Promise<void> {
  await em.upsertMany(
    IssuedCertificatesEntity,
    rows.map((row) => ({ ...row })),
    { onConflictFields: ["id"], onConflictAction: "merge" },
  );
}

/** Deletes the counts of certificates that have expired by a time. */
export async function deleteIssuedBefore(em: EntityManager, time: Date): Promise<void> {
  await em.nativeDelete(IssuedCertificatesEntity, { expiresAt: { $lte: time } });
}
