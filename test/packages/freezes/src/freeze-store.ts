import type { Entities, Migrations } from "mezite/plugin";
import { defineEntity, type EntityManager, Migration, p } from "mezite/plugin/tables";
import type { Freeze } from "./freeze.js";

const FreezeRecord = defineEntity({
  name: "AcmeFreeze",
  tableName: "acme_freezes",
  properties: {
    id: p.text().primary(),
    node: p.text(),
    reason: p.text(),
    createdBy: p.text(),
    createdAt: p.datetime(),
    expiresAt: p.datetime(),
  },
});

class CreateFreezes extends Migration {
  override up(): void {
    this.addSql(
      "create table acme_freezes (id text primary key, node text not null, reason text not null, created_by text not null, created_at timestamptz not null, expires_at timestamptz not null)",
    );
  }
}

export const ENTITIES: Entities = [FreezeRecord];
export const MIGRATIONS: Migrations = [{ name: "001-freezes", class: CreateFreezes }];

export async function insertFreeze(em: EntityManager, freeze: Freeze): Promise<void> {
  await em.insert(FreezeRecord, freeze);
}

/** Newest first. */
export async function findFreezes(em: EntityManager): Promise<readonly Freeze[]> {
  const records = await em.find(FreezeRecord, {}, { orderBy: { createdAt: "desc", id: "asc" } });
  return records.map(({ id, node, reason, createdBy, createdAt, expiresAt }) => {
    return { id, node, reason, createdBy, createdAt, expiresAt };
  });
}

/** @returns Whether it was there. */
export async function deleteFreeze(em: EntityManager, id: string): Promise<boolean> {
  return (await em.nativeDelete(FreezeRecord, { id })) > 0;
}
