import { MezError } from "../../core/errors/error.js";
import type { CallContext, RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import { NodeAccessServiceService } from "../../proto/gen/mezite/nodes/v1/nodes.js";
import type { NodeAccessService } from "./node-access-service.js";
import type { OpenSshNodeService } from "./openssh-node-service.js";

export const NODE_ACCESS_RPC: RpcService<typeof NodeAccessServiceService> = {
  name: "mezite.nodes.v1.NodeAccessService",
  definition: NodeAccessServiceService,
  permissions: {
    issueNodeHostCertificate: "node-access:create",
    issueNodeAccessCertificate: "node-access:create",
    reportNodeAccess: "node-access:create",
  },
};

/** Answers the calls about access to nodes that run OpenSSH. */
export function nodeAccessHandlers(
  access: NodeAccessService,
  nodes: OpenSshNodeService,
): RpcHandlers<typeof NodeAccessServiceService> {
  return {
    async issueNodeHostCertificate({ node, publicKey }, call) {
      const { blob, expiresAt } = await access.hostCertificate(proxyOf(call), node, publicKey);
      return { certificate: blob, expiresAt };
    },
    async issueNodeAccessCertificate(request, call) {
      return { certificate: await access.accessCertificate(proxyOf(call), request) };
    },
    async reportNodeAccess({ nodeId, node, authority }, call) {
      proxyOf(call);
      await nodes.noteAccess(nodeId, node, authority.slice(0, MAX_FINGERPRINT));
      return {};
    },
  };
}

// --- internal ---

const MAX_FINGERPRINT = 64;

/** @returns The proxy's name. An administrator holds every permission, but stands between nobody. */
function proxyOf({ caller }: CallContext): string {
  if (caller.kind === "agent" && caller.role === "proxy") return caller.name;
  throw new MezError("ACCESS_DENIED", "only proxies ask for this, with their host certificate");
}
