import { setImmediate as nextTurn } from "node:timers/promises";
import type { RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import { type Node, NodeServiceService } from "../../proto/gen/mezite/nodes/v1/nodes.js";
import type { AgentView, NodeService, NodeView } from "./node-service.js";
import { endpointOf, hostKeyFingerprint, type OpenSshNode } from "./openssh-node.js";
import type { OpenSshNodeService } from "./openssh-node-service.js";

const PAGE_NODES = 500;

export const NODE_RPC: RpcService<typeof NodeServiceService> = {
  name: "mezite.nodes.v1.NodeService",
  definition: NodeServiceService,
  permissions: {
    listNodes: "node:list",
    getNode: "node:read",
    updateNodeLabels: "node:update",
    deleteNode: "node:delete",
    addOpenSshNode: "node:create",
    rotateHostKey: "node:update",
  },
};

/** Answers the calls about the inventory. */
export function nodeHandlers(nodes: NodeService, openSsh: OpenSshNodeService): RpcHandlers<typeof NodeServiceService> {
  return {
    async *listNodes(request, call) {
      for (const page of nodes.visible(call.caller, request.role, PAGE_NODES)) {
        yield { nodes: page.map(request.brief ? toBriefMessage : toMessage) };
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
    async addOpenSshNode(request, call) {
      const { name, host, port, labels, hostKey, verifyHostKey: isVerified } = request;
      return openSshMessage(await openSsh.add({ name, host, port, labels, hostKey, isVerified }, call));
    },
    async rotateHostKey({ name, hostKey, verifyHostKey }, call) {
      return openSshMessage(await openSsh.rotateHostKey(name, hostKey, verifyHostKey, call));
    },
  };
}

// --- internal ---

function toMessage(view: NodeView): Node {
  return "agent" in view ? agentMessage(view) : openSshMessage(view.openSsh);
}

/** A list of ten thousand is read in half the time without what it does not show. */
function toBriefMessage(view: NodeView): Node {
  const nothing = { id: "", role: "", os: "", version: "", hostKey: "", userAuthority: "", joinedAt: undefined };
  const brief = { ...nothing, agentLabels: {}, adminLabels: {}, certificateExpiresAt: undefined };
  return { ...toMessage(view), ...brief };
}

function openSshMessage(node: OpenSshNode): Node {
  const { id, name, host: hostname, labels, lastAccessAt, lastAuthority, addedAt } = node;
  return {
    ...{ id, name, hostname, role: "node", kind: "openssh", online: false, os: "", version: "" },
    address: endpointOf(node),
    labels: { ...labels },
    agentLabels: {},
    adminLabels: { ...labels },
    lastSeen: lastAccessAt === null ? undefined : new Date(lastAccessAt),
    joinedAt: new Date(addedAt),
    certificateExpiresAt: undefined,
    hostKey: hostKeyFingerprint(node),
    userAuthority: lastAuthority ?? "",
  };
}

function agentMessage({ agent, labels, online, lastSeen }: AgentView): Node {
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
    hostKey: "",
    userAuthority: "",
  };
}
