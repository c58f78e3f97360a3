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

/** One key of an authority. An SSH and an X.509 key with the same generation were made together. */
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
    /** Self-signed, PEM; `null` for SSH keys. */
    certificate: p.text().nullable(),
    state: p.text().$type<KeyState>(),
    createdAt: p.datetime(),
  },
});

export type KeyUsage = "ssh" | "x509";

/** An `active` key signs and is trusted, a `trusted` one is trusted only. Each authority has one active key for each usage. */
export type KeyState = "active" | "trusted";

export type AuthorityRow = InferEntity<typeof AuthorityEntity>;
export type AuthorityKeyRow = InferEntity<typeof AuthorityKeyEntity>;

/** By type. */
export function findAuthorities(em: EntityManager): Promise<readonly AuthorityRow[]> {
  return em.find(AuthorityEntity, {}, { orderBy: { type: "asc" } });
}

/** Active keys first, then the newest. */
export function findAuthorityKeys(em: EntityManager): Promise<readonly AuthorityKeyRow[]> {
  return em.find(AuthorityKeyEntity, {}, { orderBy: { state: "asc", generation: "desc" } });
}

export async function insertAuthority(
  em: EntityManager,
  authority: AuthorityRow,
  keys: readonly AuthorityKeyRow[],
): Promise<void> {
  await em.insert(AuthorityEntity, authority);
  for (const key of keys) await em.insert(AuthorityKeyEntity, key);
}
