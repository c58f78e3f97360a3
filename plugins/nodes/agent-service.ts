import { MezError } from "../../core/errors/error.js";
import type { Database } from "../../core/plugin/database.js";
import type { TrustReport } from "../ca/api.js";
import { type Agent, type AgentRole, type Labels, parseLabels, plainText } from "./agent.js";
import type { AgentDirectory } from "./agent-directory.js";
import { auditAgentChange, publishAgent } from "./agent-publication.js";
import { findAgentById, updateAgent } from "./agent-repository.js";
import type { Heartbeats } from "./heartbeats.js";

/** What an agent says of itself each time that it starts. */
export interface AgentFacts {
  readonly labels: Labels;
  readonly hostname: string;
  readonly os: string;
  readonly version: string;
}

/** What an agent is asked to do. */
export interface AgentDuties {
  /** Seconds between heartbeats. */
  readonly heartbeatSeconds: number;
  /** Within which it renews at a random moment when every agent has to. */
  readonly renewalSpreadMs: number;
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
   * @param trust What it trusts and shows; `null` when it does not say.
   * @throws {MezError} `INVALID_ARGUMENT`; `UNAUTHENTICATED` when the agent has been removed
   */
  async register(agentId: string, facts: AgentFacts, clientAddress: string, trust: TrustReport | null): Promise<AgentDuties> {
    const said = {
      agentLabels: parseLabels(facts.labels),
      hostname: plainText(facts.hostname),
      os: plainText(facts.os),
      version: plainText(facts.version),
      address: clientAddress,
    };
    const known = this.directory.get(agentId);
    if (known === null || JSON.stringify({ ...known, ...said }) !== JSON.stringify(known)) await this.#store(agentId, said);
    this.heartbeats.beat(agentId, trust);
    const renewalSpreadMs = Math.min(this.directory.count * RENEWAL_MS, MAX_SPREAD_MS);
    return { heartbeatSeconds: this.heartbeats.intervalSeconds, renewalSpreadMs };
  }

  /** Seconds between heartbeats of agents whose connections are looked at. */
  get connectedHeartbeatSeconds(): number {
    return this.heartbeats.connectedIntervalSeconds;
  }

  /** @throws {MezError} `UNAUTHENTICATED` when the agent has been removed */
  heartbeat(agentId: string, trust: TrustReport | null): void {
    if (this.directory.get(agentId) === null) throw removed();
    this.heartbeats.beat(agentId, trust);
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
      // Roles select nodes by their labels, so this may let people in or out.
      if (JSON.stringify(agent.agentLabels) !== JSON.stringify(stored.agentLabels))
        auditAgentChange(tx, agent, said.address, { agent_labels: agent.agentLabels, previous: stored.agentLabels });
    });
  }
}

// --- internal ---

const RENEWAL_MS = 10; // what one renewal may take the auth service when all agents renew
const MAX_SPREAD_MS = 120_000;

function removed(): MezError {
  return new MezError("UNAUTHENTICATED", "this agent was removed from the cluster; join it again with a new token");
}
