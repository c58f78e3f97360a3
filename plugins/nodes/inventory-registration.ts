import { COLLECTIONS } from "../../core/plugin/collection.js";
import type { Registrar } from "../../core/plugin/contract.js";
import { DATABASE } from "../../core/plugin/database.js";
import { CLOCK, PROCESS } from "../../core/plugin/process.js";
import { AUTHENTICATOR } from "../../core/ports/authenticator.js";
import { GUARD } from "../../core/ports/guard.js";
import { CA_KEYS, CERTIFICATE_AUTHORITIES, TRUST_FOLLOWERS, type TrustFollower } from "../ca/api.js";
import { ACCESS } from "../roles/api.js";
import { AGENTS, nodeEntryOf, proxyEntryOf } from "./agent.js";
import { AgentAuthenticator } from "./agent-authenticator.js";
import { AGENT_ENTITIES, findAgents } from "./agent-repository.js";
import { AGENT_RPC, agentHandlers } from "./agent-rpc.js";
import { NODE_INVENTORY, NODES, PROXIES } from "./api.js";
import { CreateAgents } from "./migrations/001-agents.js";
import { CreateOpenSshNodes } from "./migrations/002-openssh-nodes.js";
import { AddAgentTrust } from "./migrations/003-agent-trust.js";
import { NODE_ACCESS_RPC, nodeAccessHandlers } from "./node-access-rpc.js";
import { NodeAccessService } from "./node-access-service.js";
import { NODE_RPC, nodeHandlers } from "./node-rpc.js";
import type { NodesServices, NodesSettings } from "./nodes-services.js";
import { OPENSSH_NODES, openSshEntryOf } from "./openssh-node.js";
import { findOpenSshNodes, OPENSSH_NODE_ENTITIES } from "./openssh-node-repository.js";
import { trustReportOf } from "./trust-report.js";

/** Registers what the auth service does for nodes: the inventory with its tables and calls, and who has heard of new CA keys. */
export function registerInventory(host: Registrar, services: NodesServices, { hostName, hostTtlSeconds }: NodesSettings): void {
  const { directory, heartbeats, trustReports, agents, openSsh, nodes, enrolment, identities } = services;
  host.store(
    [...AGENT_ENTITIES, ...OPENSSH_NODE_ENTITIES],
    [
      { name: "001-agents", class: CreateAgents },
      { name: "002-openssh-nodes", class: CreateOpenSshNodes },
      { name: "003-agent-trust", class: AddAgentTrust },
    ],
  );
  host.publish(OPENSSH_NODES, (resolve) => ({
    entries: async () => (await resolve(DATABASE).read(findOpenSshNodes)).map((node) => [node.name, node] as const),
  }));
  host.publish(AGENTS, (resolve) => ({
    entries: async () => (await resolve(DATABASE).read(findAgents)).map((agent) => [agent.id, agent] as const),
  }));
  host.publish(NODES, (resolve) => ({
    entries: async () => {
      const [agents, added] = await resolve(DATABASE).read(async (em) => [await findAgents(em), await findOpenSshNodes(em)]);
      const joined = agents.filter((agent) => agent.role === "node").map(nodeEntryOf);
      return [...joined, ...added.map(openSshEntryOf)].map((entry) => [entry.name, entry] as const);
    },
  }));
  host.publish(PROXIES, (resolve) => ({
    entries: async () => {
      const joined = (await resolve(DATABASE).read(findAgents)).filter((agent) => agent.role === "proxy");
      return joined.map((agent) => [agent.name, proxyEntryOf(agent)] as const);
    },
  }));
  host.provide(NODE_INVENTORY, nodes);
  host.implement(
    AUTHENTICATOR,
    "agent",
    (resolve) =>
      new AgentAuthenticator(directory(resolve), resolve(PROCESS).clusterName, resolve(CLOCK), resolve.latePort(GUARD), (id) =>
        heartbeats(resolve).hear(id),
      ),
  );
  host.rpc(NODE_RPC, (resolve) => nodeHandlers(nodes(resolve), openSsh(resolve)));
  host.rpc(NODE_ACCESS_RPC, (resolve) => {
    const access = new NodeAccessService({
      database: resolve(DATABASE),
      nodes: openSsh(resolve),
      authorities: resolve(CERTIFICATE_AUTHORITIES),
      access: resolve(ACCESS),
      guards: resolve.latePort(GUARD),
      clock: resolve(CLOCK),
      clusterName: resolve(PROCESS).clusterName,
      hostTtlSeconds,
    });
    return nodeAccessHandlers(access, openSsh(resolve));
  });
  host.rpc(AGENT_RPC, (resolve) => agentHandlers(enrolment(resolve), agents(resolve), resolve(PROCESS).clusterName));
  host.run(heartbeats);
  host.run((resolve) => ({ dispose: async () => directory(resolve).dispose() }));
  host.run((resolve) => {
    const own = (): TrustFollower => {
      const identity = identities(resolve).get("auth");
      const report = identity.isReady ? trustReportOf(identity.current(), resolve(COLLECTIONS).of(CA_KEYS)) : null;
      return { kind: "auth", name: hostName, report };
    };
    let stop: (() => void) | null = null;
    return {
      start: async () => {
        stop = resolve(TRUST_FOLLOWERS).add(() => [
          own(),
          ...trustReports(resolve).followers(),
          ...openSsh(resolve).followers(resolve(CERTIFICATE_AUTHORITIES).trustBundle("user")),
        ]);
      },
      dispose: async () => stop?.(),
    };
  });
}
