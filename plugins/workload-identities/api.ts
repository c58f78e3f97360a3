import type { CollectionKind } from "../../core/plugin/collection.js";
import type { StoredWorkloadIdentity } from "./workload-identity.js";

export type { UnixSelectors } from "./unix-selectors.js";
export type { StoredWorkloadIdentity, WorkloadIdentity } from "./workload-identity.js";

/**
 * Every workload identity by name, for the auth services alone: an identity daemon is told of those that it may serve by
 * `WorkloadIssuanceService.WatchWorkloads`. What verifies SVIDs is in the collection `CA_KEYS` of plugin `ca`, under
 * `spiffe`; proxies publish it (plugin `spiffe-bundle`).
 */
export const WORKLOADS_COLLECTION: CollectionKind<StoredWorkloadIdentity> = {
  name: "workload-identities",
  version: 1,
  visibleTo: () => false,
  keysOf: () => [],
};
