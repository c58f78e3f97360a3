import type { Collection } from "../../core/plugin/collection.js";
import type { Agent, AgentRole } from "./agent.js";

/**
 * The agents of the cluster in memory, as committed. Reads and changes cost a map look-up; only the order by name is made
 * anew after a change, by whoever asks for it.
 */
export class AgentDirectory {
  readonly #byId = new Map<string, Agent>();
  readonly #byName = new Map<string, Agent>();
  #sorted: Readonly<Record<AgentRole, readonly Agent[]>> | null = null;
  readonly #stop: () => void;

  constructor(private readonly agents: Collection<Agent>) {
    this.#stop = agents.onChange((id, agent) => this.#note(id, agent));
    for (const [id, agent] of agents.entries()) this.#note(id, agent);
  }

  get(id: string): Agent | null {
    return this.agents.get(id) ?? null;
  }

  find(role: AgentRole, name: string): Agent | null {
    return this.#byName.get(`${role}/${name}`) ?? null;
  }

  /** Of both roles. */
  get count(): number {
    return this.#byId.size;
  }

  /** Sorted by name. */
  all(role: AgentRole): readonly Agent[] {
    this.#sorted ??= sorted(this.#byId.values());
    return this.#sorted[role];
  }

  dispose(): void {
    this.#stop();
  }

  #note(id: string, agent: Agent | undefined): void {
    this.#sorted = null;
    const former = this.#byId.get(id);
    // The name may have gone to another agent by now.
    if (former !== undefined && this.#byName.get(nameOf(former)) === former) this.#byName.delete(nameOf(former));
    if (agent === undefined) {
      this.#byId.delete(id);
      return;
    }
    this.#byId.set(id, agent);
    this.#byName.set(nameOf(agent), agent);
  }
}

// --- internal ---

function nameOf({ role, name }: Agent): string {
  return `${role}/${name}`;
}

function sorted(agents: Iterable<Agent>): Readonly<Record<AgentRole, readonly Agent[]>> {
  const all = [...agents].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return { node: all.filter((agent) => agent.role === "node"), proxy: all.filter((agent) => agent.role === "proxy") };
}
