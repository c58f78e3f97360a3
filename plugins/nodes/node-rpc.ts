import { setImmediate as nextTurn } from "node:timers/promises";
import type { RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import { type Node, NodeServiceService } from "../../proto/gen/mezite/nodes/v1/nodes.js";
import type { AgentView, NodeService } from "./node-service.js";

const PAGE_NODES = 500;

export const NODE_RPC: RpcService<typeof NodeServiceService> = {
  name: "mezite.nodes.v1.NodeService",
  definition: NodeServiceService,
  permissions: { listNodes: "node:list", getNode: "node:read", updateNodeLabels: "node:update", deleteNode: "node:delete" },
};

export function nodeHandlers(nodes: NodeService): RpcHandlers<typeof NodeServiceService> {
  return {
    async *listNodes(request, call) {
      for (const page of nodes.visible(call.caller, request.role, PAGE_NODES)) {
        yield { nodes: page.map(toMessage) };
        await nextTurn();
      }
    },
    async getNode(request, call) {
      return toMessage(nodes.view(call.caller, request.name));
    },
    async updateNodeLabels(request, call) {
      return toMessage(await nodes.updateLabels(request.name, request.labels, call));
    },
    async deleteNode(request, call) {
      await nodes.delete(request.role, request.name, call);
      return {};
    },
  };
}

// --- internal ---

function toMessage({ agent, labels, online, lastSeen }: AgentView): Node {
  const { id, name, role, hostname, address, os, version } = agent;
  return {
    ...{ id, name, role, hostname, address, os, version, online },
    kind: "agent",
    labels: { ...labels },
    agentLabels: { ...agent.agentLabels },
    adminLabels: { ...agent.adminLabels },
    lastSeen: lastSeen ?? undefined,
    joinedAt: new Date(agent.joinedAt),
    certificateExpiresAt: new Date(agent.certificateExpiresAt),
  };
}
