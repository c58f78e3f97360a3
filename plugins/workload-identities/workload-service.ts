import { randomUUID } from "node:crypto";
import { MezError } from "../../core/errors/error.js";
import type { AuditAuthor } from "../../core/plugin/audit-author.js";
import type { CollectionSource } from "../../core/plugin/collection.js";
import type { Database } from "../../core/plugin/database.js";
import type { Clock } from "../../core/time/clock.js";
import { WORKLOADS_COLLECTION } from "./api.js";
import {
  checkWorkload,
  isWorkloadName,
  printable,
  type StoredWorkloadIdentity,
  type WorkloadIdentity,
} from "./workload-identity.js";
import { deleteWorkload, findWorkload, findWorkloads, saveWorkload } from "./workload-repository.js";

/** The use cases of administrators, one transaction each. */
export class WorkloadService implements CollectionSource<StoredWorkloadIdentity> {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  /**
   * Creates a workload identity, or replaces the one of that name: what was issued for that is served no longer.
   * @returns `created` is false when there was one.
   * @throws {MezError} `INVALID_ARGUMENT`
   */
  async put(
    workload: WorkloadIdentity,
    author: AuditAuthor,
  ): Promise<{ readonly workload: StoredWorkloadIdentity; readonly created: boolean }> {
    checkWorkload(workload);
    return this.database.transaction(async (tx) => {
      const former = await findWorkload(tx.em, workload.name);
      const stored: StoredWorkloadIdentity = {
        ...workload,
        id: randomUUID(),
        createdBy: former?.createdBy ?? author.userName ?? "",
        createdAt: former?.createdAt ?? this.clock.now().toISOString(),
      };
      await saveWorkload(tx.em, stored);
      tx.put(WORKLOADS_COLLECTION, stored.name, stored);
      tx.audit({
        ...author,
        type: former === null ? "workload_identity.created" : "workload_identity.updated",
        ...{ resourceType: "workload_identity", resourceName: workload.name, metadata: { workload_identity: workload } },
      });
      return { workload: stored, created: former === null };
    });
  }

  /** Sorted by name. */
  list(): Promise<readonly StoredWorkloadIdentity[]> {
    return this.database.read(findWorkloads);
  }

  async entries(): Promise<readonly (readonly [string, StoredWorkloadIdentity])[]> {
    return (await this.list()).map((workload) => [workload.name, workload] as const);
  }

  /** @throws {MezError} `NOT_FOUND` */
  async get(name: string): Promise<StoredWorkloadIdentity> {
    const workload = isWorkloadName(name) ? await this.database.read((em) => findWorkload(em, name)) : null;
    if (workload === null) throw notFound(name);
    return workload;
  }

  /** @throws {MezError} `NOT_FOUND` */
  async delete(name: string, author: AuditAuthor): Promise<void> {
    await this.database.transaction(async (tx) => {
      if (!isWorkloadName(name) || (await findWorkload(tx.em, name)) === null) throw notFound(name);
      await deleteWorkload(tx.em, name);
      tx.remove(WORKLOADS_COLLECTION, name);
      tx.audit({ ...author, type: "workload_identity.deleted", resourceType: "workload_identity", resourceName: name });
    });
  }
}

// --- internal ---

function notFound(name: string): MezError {
  return new MezError(
    "NOT_FOUND",
    `there is no workload identity "${printable(name)}"; mezctl workload-identities ls shows those that exist`,
  );
}
