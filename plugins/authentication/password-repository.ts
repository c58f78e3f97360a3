import { defineEntity, type EntityManager, p } from "@mikro-orm/core";
import { Secret } from "../../core/plugin/secret.js";

export const PasswordRecord = defineEntity({
  name: "PasswordRecord",
  tableName: "passwords",
  properties: {
    userName: p.text().primary(),
    hash: p.text(),
    mustChange: p.boolean(),
    changedAt: p.datetime(),
  },
});

export interface StoredPassword {
  readonly hash: Secret;
  readonly mustChange: boolean;
}

/** A user's password as its hash, `null` when he has none. */
export async function findPassword(em: EntityManager, userName: string): Promise<StoredPassword | null> {
  const record = await em.findOne(PasswordRecord, { userName });
  return record === null ? null : { hash: new Secret(record.hash), mustChange: record.mustChange };
}

/** Sets a user's password, his first or the next. */
export async function savePassword(
  em: EntityManager,
  userName: string,
  password: StoredPassword,
  changedAt: Date,
): Promise<void> {
  const values = { hash: password.hash.expose(), mustChange: password.mustChange, changedAt };
  if ((await em.nativeUpdate(PasswordRecord, { userName }, values)) === 0)
    await em.insert(PasswordRecord, { userName, ...values });
}

/** Deletes a user's password. */
export async function deletePassword(em: EntityManager, userName: string): Promise<void> {
  await em.nativeDelete(PasswordRecord, { userName });
}
