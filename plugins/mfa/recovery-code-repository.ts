import { defineEntity, type EntityManager, p } from "@mikro-orm/core";
import type { Secret } from "../../core/plugin/secret.js";
import { generateRecoveryCode, hashRecoveryCode, RECOVERY_CODES } from "./recovery-code.js";

export const RecoveryCodeRecord = defineEntity({
  name: "MfaRecoveryCodeRecord",
  tableName: "mfa_recovery_codes",
  properties: { hash: p.text().primary(), userName: p.text() },
});

/** Makes new codes in place of the old. @returns The codes, the only time that they can be seen. */
export async function replaceRecoveryCodes(em: EntityManager, userName: string): Promise<readonly Secret[]> {
  await deleteRecoveryCodes(em, userName);
  const codes = Array.from({ length: RECOVERY_CODES }, generateRecoveryCode);
  for (const code of codes) await em.insert(RecoveryCodeRecord, { hash: hashRecoveryCode(userName, code.expose()), userName });
  return codes;
}

/** How many recovery codes a user has left. */
export async function countRecoveryCodes(em: EntityManager, userName: string): Promise<number> {
  return em.count(RecoveryCodeRecord, { userName });
}

/** Uses a code up. @returns `false` when there is no such code. */
export async function takeRecoveryCode(em: EntityManager, userName: string, code: string): Promise<boolean> {
  return (await em.nativeDelete(RecoveryCodeRecord, { hash: hashRecoveryCode(userName, code), userName })) === 1;
}

/** Deletes all recovery codes of a user. */
export async function deleteRecoveryCodes(em: EntityManager, userName: string): Promise<void> {
  await em.nativeDelete(RecoveryCodeRecord, { userName });
}
