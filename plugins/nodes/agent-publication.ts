import type { Transaction } from "../../core/plugin/database.js";
import { AGENTS, type Agent, labelsOf, nodeEntryOf, proxyEntryOf } from "./agent.js";
import { NODE_LEFT, NODES, PROXIES } from "./api.js";

/** Tells the auth service's copy, and for a node those of proxies and the node itself. */
export function publishAgent(tx: Transaction, agent: Agent): void {
  tx.put(AGENTS, agent.id, agent);
  if (agent.role === "node") tx.put(NODES, agent.name, nodeEntryOf(agent));
  else tx.put(PROXIES, agent.name, proxyEntryOf(agent));
}

/** Writes down what an agent changed of itself. @param clientAddress `null` when nobody called. */
export function auditAgentChange(
  tx: Transaction,
  agent: Agent,
  clientAddress: string | null,
  metadata: Readonly<Record<string, unknown>>,
): void {
  tx.audit({
    type: "node.updated",
    resourceType: agent.role,
    resourceName: agent.name,
    resourceLabels: labelsOf(agent),
    serverId: agent.id,
    serverHostname: agent.hostname,
    ...(clientAddress === null ? {} : { clientIp: clientAddress }),
    metadata: { changed_by: "the agent itself", ...metadata },
  });
}

/** The opposite; whoever holds a tunnel of the agent ends it. */
export function withdrawAgent(tx: Transaction, agent: Agent): void {
  tx.remove(AGENTS, agent.id);
  if (agent.role !== "node") return tx.remove(PROXIES, agent.name);
  tx.remove(NODES, agent.name);
  tx.emit(NODE_LEFT, { id: agent.id, name: agent.name });
}
