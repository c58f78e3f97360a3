import { MezError } from "../../core/errors/error.js";
import type { CallContext, RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import { AgentServiceService, type HostCerts, JoinRequest } from "../../proto/gen/mezite/nodes/v1/nodes.js";
import type { AgentService } from "./agent-service.js";
import type { EnrolmentService } from "./enrolment-service.js";
import type { HostCertificates } from "./host-certificates.js";
import { readTrustReport } from "./trust-report.js";

export const AGENT_RPC: RpcService<typeof AgentServiceService> = {
  name: "mezite.nodes.v1.AgentService",
  definition: AgentServiceService,
  permissions: {
    generateHostCerts: "public",
    renewHostCerts: "agent:update",
    registerAgent: "agent:update",
    agentHeartbeat: "agent:update",
    deregisterAgent: "agent:update",
  },
  background: ["registerAgent", "agentHeartbeat"],
};

/** Answers the calls of agents: joining, renewing, registering, heartbeats, leaving. */
export function agentHandlers(
  enrolment: EnrolmentService,
  agents: AgentService,
  clusterName: string,
): RpcHandlers<typeof AgentServiceService> {
  const idOf = ({ caller }: CallContext): string => {
    if (caller.kind !== "agent" || (caller.role !== "node" && caller.role !== "proxy")) {
      throw new MezError("ACCESS_DENIED", "only a proxy or a node may call this, with its host certificate");
    }
    return agents.idOf(caller.role, caller.name);
  };
  return {
    async generateHostCerts({ method, proof, request }, { serverFingerprint, clientAddress }) {
      const join = { method, proof, bytes: request, request: readJoinRequest(request), serverFingerprint, clientAddress };
      return toMessage(await enrolment.join(join), clusterName);
    },
    async renewHostCerts(request, call) {
      return toMessage(await enrolment.renew(idOf(call), request.keys, request.publicAddresses), clusterName);
    },
    async registerAgent(request, call) {
      const trust = readTrustReport(request.trust);
      const duties = await agents.register(idOf(call), request, call.clientAddress, trust);
      return {
        heartbeatIntervalSeconds: agents.connectedHeartbeatSeconds,
        renewalSpreadMilliseconds: duties.renewalSpreadMs,
      };
    },
    async agentHeartbeat({ trust }, call) {
      agents.heartbeat(idOf(call), readTrustReport(trust));
      return {};
    },
    async deregisterAgent(_request, call) {
      agents.deregister(idOf(call));
      return {};
    },
  };
}

// --- internal ---

function readJoinRequest(bytes: Buffer): JoinRequest {
  try {
    return JoinRequest.decode(bytes);
  } catch (cause) {
    throw new MezError("INVALID_ARGUMENT", "the join request cannot be read", { cause });
  }
}

function toMessage(certificates: HostCertificates, clusterName: string): HostCerts {
  const { agentId, sshCertificate, tlsCertificatePem, trustPem, expiresAt } = certificates;
  return { agentId, clusterName, sshCertificate, tlsCertificatePem, trustPem: [...trustPem], expiresAt };
}
