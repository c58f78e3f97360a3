import type { RpcConnection } from "../../core/plugin/rpc.js";
import { AgentServiceService } from "../../proto/gen/mezite/nodes/v1/nodes.js";
import type { TrustReport } from "../ca/api.js";
import type { AgentDuties, AgentFacts, AgentService } from "./agent-service.js";
import { writeTrustReport } from "./trust-report.js";

/** An agent's reports to the auth service. */
export interface AgentLink {
  register(facts: AgentFacts): Promise<AgentDuties>;
  heartbeat(): Promise<void>;
  deregister(): Promise<void>;
}

/**
 * Over gRPC, under the agent's certificate.
 * @param trust What the agent trusts at the moment.
 */
export function networkLink(connection: RpcConnection, trust: () => TrustReport): AgentLink {
  const client = connection.client(AgentServiceService);
  return {
    async register(facts) {
      const duties = await client.registerAgent({ ...facts, labels: { ...facts.labels }, trust: writeTrustReport(trust()) });
      return { heartbeatSeconds: duties.heartbeatIntervalSeconds, renewalSpreadMs: duties.renewalSpreadMilliseconds };
    },
    async heartbeat() {
      await client.agentHeartbeat({ trust: writeTrustReport(trust()) });
    },
    async deregister() {
      await client.deregisterAgent({}, { timeoutMs: 2_000 });
    },
  };
}

/** In a process that is also the auth service. */
export function localLink(agents: AgentService, agentId: () => string, trust: () => TrustReport): AgentLink {
  return {
    register: (facts) => agents.register(agentId(), facts, "127.0.0.1", trust()),
    async heartbeat() {
      agents.heartbeat(agentId(), trust());
    },
    async deregister() {
      agents.deregister(agentId());
    },
  };
}
