import { defineEntity, type EntityManager, type InferEntity, p } from "@mikro-orm/core";
import { MezError } from "../errors/error.js";
import type { Entities } from "../plugin/database.js";

const ServerRecord = defineEntity({
  name: "ClusterServer",
  tableName: "cluster_servers",
  properties: { id: p.text().primary(), name: p.text(), beats: p.bigint("number"), report: p.text().nullable() },
});

const DutyRecord = defineEntity({
  name: "ClusterDuty",
  tableName: "cluster_duties",
  properties: { name: p.text().primary(), server: p.text() },
});

const DecisionRecord = defineEntity({
  name: "ClusterPlugins",
  tableName: "cluster_plugins",
  properties: { id: p.integer().primary(), revision: p.bigint("number"), decisions: p.text() },
});

export const CLUSTER_ENTITIES: Entities = [ServerRecord, DutyRecord, DecisionRecord];

/** A server that has the database open. */
export type ServerRow = Readonly<InferEntity<typeof ServerRecord>>;

/** Says that a server lives, and how it fares. `false` when it is not on the list (any more). */
export async function beat(em: EntityManager, id: string, sign: Pick<ServerRow, "beats" | "report">): Promise<boolean> {
  return (await em.nativeUpdate(ServerRecord, { id }, { ...sign })) === 1;
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

/** What the servers have decided of their plugins: whatever the host wrote. */
export interface Decided {
  /** One more for each decision; 0 when there is none yet. */
  readonly revision: number;
  readonly decisions: string;
}

/** `null` when nothing was decided yet. */
export async function readDecided(em: EntityManager): Promise<Decided | null> {
  return em.findOne(DecisionRecord, { id: 1 }, { disableIdentityMap: true });
}

/**
 * Puts a decision in the place of revision `before`.
 * @returns Its revision.
 * @throws {MezError} `CONFLICT` when another one stands there by now
 */
export async function writeDecided(em: EntityManager, before: number, decisions: string): Promise<number> {
  const revision = before + 1;
  const there = await readDecided(em);
  if (there === null && before === 0) await em.insert(DecisionRecord, { id: 1, revision, decisions });
  else if ((await em.nativeUpdate(DecisionRecord, { id: 1, revision: before }, { revision, decisions })) !== 1)
    throw new MezError("CONFLICT", "the plugins are being changed at another auth server; try again");
  return revision;
}
