import { defineEntity, type EntityManager, p } from "@mikro-orm/core";
import type { Entities } from "../../core/plugin/database.js";
import type { StoredWorkloadIdentity, WorkloadIdentity } from "./workload-identity.js";

const WorkloadRecord = defineEntity({
  name: "WorkloadIdentityRecord",
  tableName: "workload_identities",
  properties: {
    name: p.text().primary(),
    id: p.text(),
    /** JSON. */
    definition: p.text(),
    createdBy: p.text(),
    createdAt: p.datetime(3),
  },
});

export const WORKLOAD_ENTITIES: Entities = [WorkloadRecord];

/** Sorted by name. */
export async function findWorkloads(em: EntityManager): Promise<readonly StoredWorkloadIdentity[]> {
  return (await em.find(WorkloadRecord, {}, { orderBy: { name: "asc" } })).map(fromRecord);
}

/** A workload identity by its name, `null` when there is none. */
export async function findWorkload(em: EntityManager, name: string): Promise<StoredWorkloadIdentity | null> {
  const record = await em.findOne(WorkloadRecord, { name });
  return record === null ? null : fromRecord(record);
}

/** Stores a workload identity in place of the one of that name. */
export async function saveWorkload(em: EntityManager, workload: StoredWorkloadIdentity): Promise<void> {
  const { id, createdBy, createdAt, ...definition } = workload;
  await em.nativeDelete(WorkloadRecord, { name: workload.name });
  await em.insert(WorkloadRecord, {
    ...{ id, createdBy, name: workload.name },
    definition: JSON.stringify(definition),
    createdAt: new Date(createdAt),
  });
}

/** Deletes a workload identity; one that is gone already is no error. */
export async function deleteWorkload(em: EntityManager, name: string): Promise<void> {
  await em.nativeDelete(WorkloadRecord, { name });
}

// --- internal ---

interface StoredRecord {
  readonly id: string;
  readonly definition: string;
  readonly createdBy: string;
  readonly createdAt: Date;
}

function fromRecord({ id, definition, createdBy, createdAt }: StoredRecord): StoredWorkloadIdentity {
  return { ...(JSON.parse(definition) as WorkloadIdentity), id, createdBy, createdAt: createdAt.toISOString() };
}
