import { defineEntity, type EntityManager, type InferEntity, p } from "@mikro-orm/core";

/** The one row that tells how the data key is wrapped. Binary values are base64. */
export const KeyProtectionEntity = defineEntity({
  name: "SoftwareKeyProtection",
  tableName: "software_key_protection",
  properties: {
    id: p.integer().primary(),
    method: p.text(),
    salt: p.text(),
    wrappedKey: p.text(),
  },
});

/** One private key, sealed with the data key. */
export const SoftwareKeyEntity = defineEntity({
  name: "SoftwareKey",
  tableName: "software_keys",
  properties: {
    handle: p.text().primary(),
    algorithm: p.text(),
    sealedKey: p.text(),
    createdAt: p.datetime(),
  },
});

export type KeyProtectionRow = InferEntity<typeof KeyProtectionEntity>;
export type SoftwareKeyRow = InferEntity<typeof SoftwareKeyEntity>;

const ONLY_ROW = 1;

/** How the keys are encrypted, `null` before the first one is made. */
export function findProtection(em: EntityManager): Promise<KeyProtectionRow | null> {
  return em.findOne(KeyProtectionEntity, { id: ONLY_ROW });
}

/** Stores how the keys are encrypted; there is one row. */
export async function insertProtection(em: EntityManager, row: Omit<KeyProtectionRow, "id">): Promise<void> {
  await em.insert(KeyProtectionEntity, { id: ONLY_ROW, ...row });
}

/** An encrypted key by its handle, `null` when there is none. */
export function findKey(em: EntityManager, handle: string): Promise<SoftwareKeyRow | null> {
  return em.findOne(SoftwareKeyEntity, { handle });
}

/** Stores a new encrypted key. */
export async function insertKey(em: EntityManager, row: SoftwareKeyRow): Promise<void> {
  await em.insert(SoftwareKeyEntity, row);
}

/** Deletes an encrypted key; nobody can sign with it after the commit. */
export async function deleteKey(em: EntityManager, handle: string): Promise<void> {
  await em.nativeDelete(SoftwareKeyEntity, { handle });
}
