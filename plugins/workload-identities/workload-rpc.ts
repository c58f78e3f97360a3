import { MezError } from "../../core/errors/error.js";
import { authorOf } from "../../core/plugin/audit-author.js";
import type { RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import { WorkloadIdentityServiceService } from "../../proto/gen/mezite/workload_identities/v1/workload_identities.js";
import { fromMessage, toMessage } from "./workload-message.js";
import type { WorkloadService } from "./workload-service.js";

export const WORKLOAD_RPC: RpcService<typeof WorkloadIdentityServiceService> = {
  name: "mezite.workload_identities.v1.WorkloadIdentityService",
  definition: WorkloadIdentityServiceService,
  permissions: {
    createWorkloadIdentity: "workload-identity:create",
    listWorkloadIdentities: "workload-identity:list",
    getWorkloadIdentity: "workload-identity:read",
    deleteWorkloadIdentity: "workload-identity:delete",
  },
};

/** Answers the calls of administrators about workload identities. */
export function workloadHandlers(workloads: WorkloadService): RpcHandlers<typeof WorkloadIdentityServiceService> {
  return {
    async createWorkloadIdentity({ workloadIdentity }, call) {
      if (workloadIdentity === undefined) throw new MezError("INVALID_ARGUMENT", "the workload identity is missing");
      const { workload, created } = await workloads.put(fromMessage(workloadIdentity), authorOf(call));
      return { workloadIdentity: toMessage(workload), created };
    },
    async listWorkloadIdentities() {
      return { workloadIdentities: (await workloads.list()).map(toMessage) };
    },
    async getWorkloadIdentity({ name }) {
      return toMessage(await workloads.get(name));
    },
    async deleteWorkloadIdentity({ name }, call) {
      await workloads.delete(name, authorOf(call));
      return {};
    },
  };
}
