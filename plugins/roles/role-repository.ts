import { defineEntity, type EntityManager, p } from "@mikro-orm/core";
import type { Entities } from "../../core/plugin/database.js";
import type { Role } from "./api.js";

const RoleRecord = defineEntity({
  name: "RoleRecord",
  tableName: "roles",
  properties: {
    name: p.text().primary(),
    document: p.text(),
    createdAt: p.datetime(),
    updatedAt: p.datetime(),
  },
});

export const ROLE_ENTITIES: Entities = [RoleRecord];

/** The roles that people made, sorted by name. */
export async function findRoles(em: EntityManager): Promise<readonly Role[]> {
  const records = await em.find(RoleRecord, {}, { orderBy: { name: "asc" } });
  return records.map(({ document }) => JSON.parse(document) as Role);
}

/** A stored role by its name, `null` when there is none; built-in roles are not stored. */
export async function findRole(em: EntityManager, name: string): Promise<Role | null> {
  const record = await em.findOne(RoleRecord, { name });
  return record === null ? null : (JSON.parse(record.document) as Role);
}

/** Tells whether a role of this name is stored. */
export async function roleExists(em: EntityManager, name: string): Promise<boolean> {
  return (await em.count(RoleRecord, { name })) > 0;
}

/** @returns `true` when there was no role of that name. */
export async function saveRole(em: EntityManager, role: Role, now: Date): Promise<boolean> {
  const document = JSON.stringify(role);
  if ((await em.nativeUpdate(RoleRecord, { name: role.name }, { document, updatedAt: now })) > 0) return false;
  await em.insert(RoleRecord, { name: role.name, document, createdAt: now, updatedAt: now });
  return true;
}

/** @returns `false` when there was none. */
export async function deleteRole(em: EntityManager, name: string): Promise<boolean> {
  return (await em.nativeDelete(RoleRecord, { name })) > 0;
}
