import { MezError } from "../../core/errors/error.js";
import type { CallContext, RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import {
  type AttestedProcess as ProcessMessage,
  WorkloadIssuanceServiceService,
  type X509SvidResult,
} from "../../proto/gen/mezite/workload_identities/v1/workload_identities.js";
import type { PresentedInstance } from "./instance-standing.js";
import type { AttestedProcess, IssuedX509, SvidCaller, SvidService } from "./svid-service.js";
import { type WorkloadWatchParts, watchWorkloads } from "./workload-watch.js";

export const ISSUANCE_RPC: RpcService<typeof WorkloadIssuanceServiceService> = {
  name: "mezite.workload_identities.v1.WorkloadIssuanceService",
  definition: WorkloadIssuanceServiceService,
  permissions: {
    watchWorkloads: "served-workload:list",
    reportTrust: "served-workload:update",
    issueX509Svids: "svid:create",
    issueJwtSvid: "svid:create",
  },
};

/** Answers the calls of machines that fetch SVIDs for their programs, and tells them of changes. */
export function issuanceHandlers(
  svids: SvidService,
  watch: WorkloadWatchParts,
): RpcHandlers<typeof WorkloadIssuanceServiceService> {
  return {
    watchWorkloads: (_request, call) => watchWorkloads(watch, presentedIn(call), call.signal),
    async reportTrust({ x509AuthoritySha256 }, call) {
      watch.followers.report(presentedIn(call), x509AuthoritySha256);
      return {};
    },
    async issueX509Svids({ orders }, call) {
      const read = orders.map(({ process, ...order }) => ({ ...order, process: processOf(process) }));
      return { results: (await svids.issueX509(read, callerOf(call))).map(toResult) };
    },
    async issueJwtSvid({ process, ...order }, call) {
      return svids.issueJwt({ ...order, process: processOf(process) }, callerOf(call));
    },
  };
}

// --- internal ---

const MAX_GIDS = 65_536; // NGROUPS_MAX of Linux
const MAX_RECORDED_PATH = 4096;

function presentedIn({ caller }: CallContext): PresentedInstance {
  if (caller.kind !== "agent_identity")
    throw new MezError("ACCESS_DENIED", "only an agent identity may call this, with its X.509 certificate");
  return caller;
}

function callerOf(call: CallContext): SvidCaller {
  const { name, roles, instance } = presentedIn(call);
  return { name, roles, instance, clientAddress: call.clientAddress };
}

function processOf(message: ProcessMessage | undefined): AttestedProcess | null {
  if (message === undefined) return null;
  const { pid, uid, gids, path, sha256 } = message;
  if (gids.length > MAX_GIDS || path.length > MAX_RECORDED_PATH || !/^([0-9a-f]{64})?$/.test(sha256))
    throw new MezError("INVALID_ARGUMENT", "what the daemon says of the process cannot be read");
  return { pid, uid, gids, path, sha256 };
}

function toResult(result: IssuedX509 | MezError): X509SvidResult {
  if (result instanceof MezError)
    return { result: { $case: "refusal", refusal: { code: result.code, message: result.message } } };
  const { spiffeId, der, serial, expiresAt } = result;
  return { result: { $case: "svid", svid: { spiffeId, certificateChain: der, serial, expiresAt } } };
}
