import type {
  UnixSelectors as SelectorsMessage,
  WorkloadIdentity as WorkloadMessage,
} from "../../proto/gen/mezite/workload_identities/v1/workload_identities.js";
import type { UnixSelectors } from "./unix-selectors.js";
import type { StoredWorkloadIdentity, WorkloadIdentity } from "./workload-identity.js";

/** A workload identity as it goes over the wire. */
export function toMessage(workload: WorkloadIdentity & Partial<StoredWorkloadIdentity>): WorkloadMessage {
  const { name, description, spiffeIdPath, x509TtlSeconds, jwtTtlSeconds, hint, createdBy = "", createdAt } = workload;
  return {
    ...{ name, description, spiffeIdPath, x509TtlSeconds, jwtTtlSeconds, hint, createdBy },
    agentIdentities: [...workload.agentIdentities],
    nodeLabels: Object.fromEntries(
      Object.entries(workload.nodeLabels).map(([label, values]) => [label, { values: [...values] }]),
    ),
    unix: selectorsToMessage(workload.unix),
    dnsSans: [...workload.dnsSans],
    createdAt: createdAt === undefined ? undefined : new Date(createdAt),
  };
}

/** A workload identity from the wire; its content is still to be checked. */
export function fromMessage(message: WorkloadMessage): WorkloadIdentity {
  const { name, description, spiffeIdPath, agentIdentities, x509TtlSeconds, jwtTtlSeconds, dnsSans, hint } = message;
  const { uids = [], gids = [], paths = [], sha256 = [] } = message.unix ?? {};
  return {
    ...{ name, description, spiffeIdPath, agentIdentities, x509TtlSeconds, jwtTtlSeconds, dnsSans, hint },
    nodeLabels: Object.fromEntries(Object.entries(message.nodeLabels).map(([label, { values }]) => [label, values])),
    unix: { uids, gids, paths, sha256 },
  };
}

/** Selectors as they go over the wire. */
export function selectorsToMessage({ uids, gids, paths, sha256 }: UnixSelectors): SelectorsMessage {
  return { uids: [...uids], gids: [...gids], paths: [...paths], sha256: [...sha256] };
}
