import { defineEntity, type EntityManager, p } from "@mikro-orm/core";
import type { FormerKey } from "../../core/ssh/former-key.js";
import type { AuthorityType } from "./api.js";

/** The public half of a key that a rotation took out of use. Stays for ever: what it signed is verified with it. */
export const FormerKeyEntity = defineEntity({
  name: "FormerAuthorityKey",
  tableName: "ca_former_keys",
  properties: {
    publicKey: p.text().primary(),
    authority: p.text().$type<AuthorityType>(),
    signature: p.text(),
  },
});

/** Those of an authority, by key. */
export async function findFormerKeys(em: EntityManager, authority: AuthorityType): Promise<readonly FormerKey[]> {
  const rows = await em.find(FormerKeyEntity, { authority }, { orderBy: { publicKey: "asc" } });
  return rows.map(({ publicKey, signature }) => ({ publicKey, signature }));
}

export async function insertFormerKey(em: EntityManager, authority: AuthorityType, key: FormerKey): Promise<void> {
  await em.insert(FormerKeyEntity, { ...key, authority });
}
