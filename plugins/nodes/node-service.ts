import { MezError } from "../../core/errors/error.js";
import { authorOf } from "../../core/plugin/audit-author.js";
import type { Caller } from "../../core/plugin/caller.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import type { Access } from "../roles/api.js";
import { type Agent, type AgentRole, type Labels, labelsOf, nodeEntryOf, parseAgentRole, parseLabels } from "./agent.js";
import type { AgentDirectory } from "./agent-directory.js";
import { publishAgent, withdrawAgent } from "./agent-publication.js";
import { deleteAgent, findAgent, updateAgent } from "./agent-repository.js";
import type { AgentSigns, NodeInventory, NodeStatus } from "./api.js";
import type { Heartbeats } from "./heartbeats.js";
import { type OpenSshNode, openSshEntryOf } from "./openssh-node.js";
import type { OpenSshNodeService } from "./openssh-node-service.js";

/** Who changes something, and from where. */
export interface NodeAuthor {
  readonly caller: Caller;
  readonly clientAddress: string;
}

/** An agent as people see it. */
export interface AgentView {
  readonly agent: Agent;
  readonly labels: Labels;
  readonly online: boolean;
  readonly lastSeen: Date | null;
}

/** An agent, or a node without one. */
export type NodeView = AgentView | { readonly openSsh: OpenSshNode };

/** The inventory, for people: what each may see, and the changes that administrators make. */
export class NodeService implements NodeInventory {
  constructor(
    private readonly database: Database,
    private readonly directory: AgentDirectory,
    private readonly heartbeats: Heartbeats,
    private readonly access: Access,
    private readonly openSsh: OpenSshNodeService,
  ) {}

  get(name: string): NodeStatus | null {
    const agent = this.directory.find("node", name);
    if (agent !== null) return this.#status(agent);
    const node = this.openSsh.find(name);
    return node === null ? null : openSshStatus(node);
  }

  all(): readonly NodeStatus[] {
    return [...this.directory.all("node").map((agent) => this.#status(agent)), ...this.openSsh.all().map(openSshStatus)];
  }

  signs(role: AgentRole, name: string): AgentSigns | null {
    const agent = this.directory.find(role, name);
    return agent === null ? null : { joinedAt: new Date(agent.joinedAt), lastSeen: this.heartbeats.lastSeen(agent.id) };
  }

  /**
   * What the caller may see, sorted by name: admin and auditor see all, others the nodes that they may reach.
   * Worked out `size` at a time as they are taken, from those that there were at the first.
   */
  *visible(caller: Caller, role: string, size: number): Generator<readonly NodeView[], void> {
    const agentRole = roleOf(role);
    const agents = this.directory.all(agentRole);
    const added = agentRole === "node" ? this.openSsh.all() : [];
    const all = added.length === 0 ? agents : [...agents, ...added].sort((a, b) => (a.name < b.name ? -1 : 1));
    for (let start = 0; start < all.length; start += size) {
      const seen = this.#visible(caller, all.slice(start, start + size));
      if (seen.length > 0) yield seen.map((each) => this.#view(each));
    }
  }

  /** @throws {MezError} `NOT_FOUND`, also for one that the caller may not see */
  view(caller: Caller, name: string): NodeView {
    const known = this.directory.find("node", name) ?? this.openSsh.find(name);
    const [seen] = known === null ? [] : this.#visible(caller, [known]);
    if (seen === undefined) throw unknown("node", name);
    return this.#view(seen);
  }

  /** Replaces the administrator's labels. @throws {MezError} `NOT_FOUND`, `INVALID_ARGUMENT` */
  async updateLabels(name: string, labels: Labels, author: NodeAuthor): Promise<NodeView> {
    if (this.openSsh.find(name) !== null) return { openSsh: await this.openSsh.updateLabels(name, labels, author) };
    const adminLabels = parseLabels(labels);
    const agent = await this.database.transaction(async (tx) => {
      const changed = { ...(await requireAgent(tx, "node", name)), adminLabels };
      await updateAgent(tx.em, changed);
      publishAgent(tx, changed);
      audit(tx, "node.updated", changed, author);
      return changed;
    });
    return this.#view(agent);
  }

  /** Removes an agent: its certificates and tunnel end with its record; or a node without one. @throws {MezError} `NOT_FOUND` */
  async delete(role: string, name: string, author: NodeAuthor): Promise<void> {
    const agentRole = roleOf(role);
    if (agentRole === "node" && this.openSsh.find(name) !== null) return this.openSsh.delete(name, author);
    const agent = await this.database.transaction(async (tx) => {
      const gone = await requireAgent(tx, agentRole, name);
      await deleteAgent(tx.em, gone.id);
      withdrawAgent(tx, gone);
      audit(tx, "node.left", gone, author);
      return gone;
    });
    this.heartbeats.forget(agent.id);
  }

  #visible(caller: Caller, all: readonly Known[]): readonly Known[] {
    if (caller.kind !== "user") return [];
    if (caller.roles.some((role) => SEES_ALL.has(role))) return all;
    const nodes = all
      .filter((known) => "hostKey" in known || known.role === "node")
      .map((known) => ({ name: known.name, labels: "hostKey" in known ? known.labels : labelsOf(known), known }));
    return this.access.visibleNodes({ user: caller.name, roles: caller.roles }, nodes).map(({ known }) => known);
  }

  #view(known: Known): NodeView {
    if ("hostKey" in known) return { openSsh: known };
    const { id } = known;
    return {
      agent: known,
      labels: labelsOf(known),
      online: this.heartbeats.isOnline(id),
      lastSeen: this.heartbeats.lastSeen(id),
    };
  }

  #status(agent: Agent): NodeStatus {
    return { ...nodeEntryOf(agent), online: this.heartbeats.isOnline(agent.id), lastSeen: this.heartbeats.lastSeen(agent.id) };
  }
}

// --- internal ---

type Known = Agent | OpenSshNode;

const SEES_ALL: ReadonlySet<string> = new Set(["admin", "auditor"]);

/** Nobody hears of it between sessions. */
function openSshStatus(node: OpenSshNode): NodeStatus {
  return {
    ...openSshEntryOf(node),
    online: false,
    lastSeen: node.lastAccessAt === null ? null : new Date(node.lastAccessAt),
  };
}

function roleOf(role: string): AgentRole {
  return role === "" ? "node" : parseAgentRole(role);
}

async function requireAgent(tx: Transaction, role: AgentRole, name: string): Promise<Agent> {
  const agent = await findAgent(tx.em, role, name);
  if (agent === null) throw unknown(role, name);
  return agent;
}

function unknown(role: AgentRole, name: string): MezError {
  return new MezError("NOT_FOUND", `there is no ${role} named "${name.slice(0, 80)}"`);
}

function audit(tx: Transaction, type: "node.updated" | "node.left", agent: Agent, author: NodeAuthor): void {
  tx.audit({
    type,
    ...authorOf(author),
    resourceType: agent.role,
    resourceName: agent.name,
    resourceLabels: labelsOf(agent),
    serverId: agent.id,
    serverHostname: agent.hostname,
  });
}
