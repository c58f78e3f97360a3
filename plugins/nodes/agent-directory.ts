import type { Collection } from "../../core/plugin/collection.js";
import type { Agent, AgentRole } from "./agent.js";

/** The agents of the cluster in memory, as committed. Reads cost a map look-up; the order is rebuilt after a change. */
export class AgentDirectory {
  #index: AgentIndex | null = null;
  readonly #stop: () => void;

  constructor(private readonly agents: Collection<Agent>) {
    this.#stop = agents.onChange(() => {
      this.#index = null;
    });
  }

  get(id: string): Agent | null {
    return this.agents.get(id) ?? null;
  }

  find(role: AgentRole, name: string): Agent | null {
    return this.#current().byName.get(`${role}/${name}`) ?? null;
  }

  /** Sorted by name. */
  all(role: AgentRole): readonly Agent[] {
    return this.#current().sorted[role];
  }

  dispose(): void {
    this.#stop();
  }

  #current(): AgentIndex {
    this.#index ??= indexOf(this.agents.values());
    return this.#index;
  }
}

// --- internal ---

interface AgentIndex {
  readonly byName: ReadonlyMap<string, Agent>;
  readonly sorted: Readonly<Record<AgentRole, readonly Agent[]>>;
}

function indexOf(agents: Iterable<Agent>): AgentIndex {
  const all = [...agents].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return {
    byName: new Map(all.map((agent) => [`${agent.role}/${agent.name}`, agent])),
    sorted: { node: all.filter((agent) => agent.role === "node"), proxy: all.filter((agent) => agent.role === "proxy") },
  };
}
