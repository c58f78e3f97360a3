import type { Transaction } from "../../core/plugin/database.js";
import { AGENTS, type Agent, nodeEntryOf } from "./agent.js";
import { NODE_LEFT, NODES } from "./api.js";

/** Tells the auth service's copy, and for a node those of proxies and the node itself. */
export function publishAgent(tx: Transaction, agent: Agent): void {
  tx.put(AGENTS, agent.id, agent);
  if (agent.role === "node") tx.put(NODES, agent.name, nodeEntryOf(agent));
}

/** The opposite; whoever holds a tunnel of the agent ends it. */
export function withdrawAgent(tx: Transaction, agent: Agent): void {
  tx.remove(AGENTS, agent.id);
  if (agent.role !== "node") return;
  tx.remove(NODES, agent.name);
  tx.emit(NODE_LEFT, { id: agent.id, name: agent.name });
}
