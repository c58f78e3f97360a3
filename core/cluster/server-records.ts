import { defineEntity, type EntityManager, type InferEntity, p } from "@mikro-orm/core";
import type { Entities } from "../plugin/database.js";

const ServerRecord = defineEntity({
  name: "ClusterServer",
  tableName: "cluster_servers",
  properties: { id: p.text().primary(), name: p.text(), beats: p.bigint("number") },
});

const DutyRecord = defineEntity({
  name: "ClusterDuty",
  tableName: "cluster_duties",
  properties: { name: p.text().primary(), server: p.text() },
});

export const CLUSTER_ENTITIES: Entities = [ServerRecord, DutyRecord];

/** A server that has the database open. */
export type ServerRow = Readonly<InferEntity<typeof ServerRecord>>;

/** Says that a server lives. `false` when it is not on the list (any more). */
export async function beat(em: EntityManager, id: string, beats: number): Promise<boolean> {
  return (await em.nativeUpdate(ServerRecord, { id }, { beats })) === 1;
}

export async function addServer(em: EntityManager, row: ServerRow): Promise<void> {
  await em.insert(ServerRecord, row);
}

/** In order of their ids. */
export function listServers(em: EntityManager): Promise<readonly ServerRow[]> {
  return em.find(ServerRecord, {}, { orderBy: { id: "asc" }, disableIdentityMap: true });
}

/** Takes servers off the list; their duties are free. */
export async function removeServers(em: EntityManager, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await em.nativeDelete(ServerRecord, { id: { $in: [...ids] } });
  await em.nativeDelete(DutyRecord, { server: { $in: [...ids] } });
}

/** Who has a duty; `null` when nobody has. */
export async function dutyHolder(em: EntityManager, name: string): Promise<string | null> {
  return (await em.findOne(DutyRecord, { name }, { disableIdentityMap: true }))?.server ?? null;
}

export async function takeDuty(em: EntityManager, name: string, server: string): Promise<void> {
  await em.insert(DutyRecord, { name, server });
}

/** Others may take these duties. */
export async function giveDutiesBack(em: EntityManager, server: string, names: readonly string[]): Promise<void> {
  if (names.length > 0) await em.nativeDelete(DutyRecord, { server, name: { $in: [...names] } });
}
