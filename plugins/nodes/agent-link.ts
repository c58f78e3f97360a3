import type { RpcConnection } from "../../core/plugin/rpc.js";
import { AgentServiceService } from "../../proto/gen/mezite/nodes/v1/nodes.js";
import type { AgentFacts, AgentService } from "./agent-service.js";

/** An agent's reports to the auth service. */
export interface AgentLink {
  /** @returns Seconds between heartbeats. */
  register(facts: AgentFacts): Promise<number>;
  heartbeat(): Promise<void>;
  deregister(): Promise<void>;
}

/** Over gRPC, under the agent's certificate. */
export function networkLink(connection: RpcConnection): AgentLink {
  const client = connection.client(AgentServiceService);
  return {
    async register(facts) {
      return (await client.registerAgent({ ...facts, labels: { ...facts.labels } })).heartbeatIntervalSeconds;
    },
    async heartbeat() {
      await client.agentHeartbeat({});
    },
    async deregister() {
      await client.deregisterAgent({}, { timeoutMs: 2_000 });
    },
  };
}

/** In a process that is also the auth service. */
export function localLink(agents: AgentService, agentId: () => string): AgentLink {
  return {
    register: (facts) => agents.register(agentId(), facts, "127.0.0.1"),
    async heartbeat() {
      agents.heartbeat(agentId());
    },
    async deregister() {
      agents.deregister(agentId());
    },
  };
}
