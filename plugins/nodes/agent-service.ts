import { MezError } from "../../core/errors/error.js";
import type { Database } from "../../core/plugin/database.js";
import { type Agent, type AgentRole, type Labels, parseLabels, plainText } from "./agent.js";
import type { AgentDirectory } from "./agent-directory.js";
import { publishAgent } from "./agent-publication.js";
import { findAgentById, updateAgent } from "./agent-repository.js";
import type { Heartbeats } from "./heartbeats.js";

/** What an agent says of itself each time that it starts. */
export interface AgentFacts {
  readonly labels: Labels;
  readonly hostname: string;
  readonly os: string;
  readonly version: string;
}

/** What agents report after they have joined. */
export class AgentService {
  constructor(
    private readonly database: Database,
    private readonly directory: AgentDirectory,
    private readonly heartbeats: Heartbeats,
  ) {}

  /**
   * Notes what the agent says of itself. Writes only what differs: a restart of the auth service, after which everybody
   * registers, costs no transactions.
   * @returns Seconds between heartbeats.
   * @throws {MezError} `INVALID_ARGUMENT`; `UNAUTHENTICATED` when the agent has been removed
   */
  async register(agentId: string, facts: AgentFacts, clientAddress: string): Promise<number> {
    const said = {
      agentLabels: parseLabels(facts.labels),
      hostname: plainText(facts.hostname),
      os: plainText(facts.os),
      version: plainText(facts.version),
      address: clientAddress,
    };
    const known = this.directory.get(agentId);
    if (known === null || JSON.stringify({ ...known, ...said }) !== JSON.stringify(known)) await this.#store(agentId, said);
    this.heartbeats.beat(agentId);
    return this.heartbeats.intervalSeconds;
  }

  /** @throws {MezError} `UNAUTHENTICATED` when the agent has been removed */
  heartbeat(agentId: string): void {
    if (this.directory.get(agentId) === null) throw removed();
    this.heartbeats.beat(agentId);
  }

  deregister(agentId: string): void {
    this.heartbeats.leave(agentId);
  }

  /** @throws {MezError} `UNAUTHENTICATED` when there is no such agent */
  idOf(role: AgentRole, name: string): string {
    const agent = this.directory.find(role, name);
    if (agent === null) throw removed();
    return agent.id;
  }

  async #store(agentId: string, said: Pick<Agent, "agentLabels" | "hostname" | "os" | "version" | "address">): Promise<void> {
    await this.database.transaction(async (tx) => {
      const stored = await findAgentById(tx.em, agentId);
      if (stored === null) throw removed();
      const agent = { ...stored, ...said };
      await updateAgent(tx.em, agent);
      publishAgent(tx, agent);
    });
  }
}

// --- internal ---

function removed(): MezError {
  return new MezError("UNAUTHENTICATED", "this agent was removed from the cluster; join it again with a new token");
}
