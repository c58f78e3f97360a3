import { defineEntity, type EntityManager, p } from "@mikro-orm/core";
import type { Entities } from "../../core/plugin/database.js";
import type { Labels } from "./agent.js";
import type { OpenSshNode } from "./openssh-node.js";

const OpenSshNodeRecord = defineEntity({
  name: "OpenSshNodeRecord",
  tableName: "openssh_nodes",
  properties: {
    id: p.text().primary(),
    name: p.text(),
    host: p.text(),
    port: p.integer(),
    labels: p.text(),
    hostKey: p.text(),
    addedBy: p.text(),
    addedAt: p.datetime(),
    lastAccessAt: p.datetime().nullable(),
    lastAuthority: p.text().nullable(),
  },
});

export const OPENSSH_NODE_ENTITIES: Entities = [OpenSshNodeRecord];

/** Every node without an agent. */
export async function findOpenSshNodes(em: EntityManager): Promise<readonly OpenSshNode[]> {
  return (await em.find(OpenSshNodeRecord, {})).map(fromRecord);
}

/** The one of that name, `null` when there is none. */
export async function findOpenSshNode(em: EntityManager, name: string): Promise<OpenSshNode | null> {
  const record = await em.findOne(OpenSshNodeRecord, { name });
  return record === null ? null : fromRecord(record);
}

/** Stores a new one; its name must be free. */
export async function insertOpenSshNode(em: EntityManager, node: OpenSshNode): Promise<void> {
  await em.insert(OpenSshNodeRecord, toRecord(node));
}

/** Stores what has changed of one that is known by its id. */
export async function updateOpenSshNode(em: EntityManager, node: OpenSshNode): Promise<void> {
  const { id, ...fields } = toRecord(node);
  await em.nativeUpdate(OpenSshNodeRecord, { id }, fields);
}

/** Forgets it. */
export async function deleteOpenSshNode(em: EntityManager, id: string): Promise<void> {
  await em.nativeDelete(OpenSshNodeRecord, { id });
}

// --- internal ---

interface OpenSshNodeFields {
  id: string;
  name: string;
  host: string;
  port: number;
  labels: string;
  hostKey: string;
  addedBy: string;
  addedAt: Date;
  lastAccessAt: Date | null;
  lastAuthority: string | null;
}

function fromRecord(
  record: Omit<OpenSshNodeFields, "lastAccessAt" | "lastAuthority"> & {
    lastAccessAt?: Date | null | undefined;
    lastAuthority?: string | null | undefined;
  },
): OpenSshNode {
  const { id, name, host, port, hostKey, addedBy, lastAuthority = null } = record;
  return {
    ...{ id, name, host, port, hostKey, addedBy, lastAuthority },
    labels: JSON.parse(record.labels) as Labels,
    addedAt: record.addedAt.toISOString(),
    lastAccessAt: record.lastAccessAt?.toISOString() ?? null,
  };
}

function toRecord(node: OpenSshNode): OpenSshNodeFields {
  return {
    ...node,
    labels: JSON.stringify(node.labels),
    addedAt: new Date(node.addedAt),
    lastAccessAt: node.lastAccessAt === null ? null : new Date(node.lastAccessAt),
  };
}
