import type { TrustFollower, TrustReport } from "../ca/api.js";
import type { AgentDirectory } from "./agent-directory.js";

/** What each agent said last of the CA keys that it trusts. In memory: after a restart everybody says it again. */
export class TrustReports {
  readonly #reports = new Map<string, TrustReport>();

  constructor(private readonly directory: AgentDirectory) {}

  note(agentId: string, report: TrustReport): void {
    this.#reports.set(agentId, report);
  }

  /** Every agent of the cluster, those that have said nothing too. */
  followers(): readonly TrustFollower[] {
    for (const id of this.#reports.keys()) if (this.directory.get(id) === null) this.#reports.delete(id);
    return (["node", "proxy"] as const).flatMap((kind) =>
      this.directory.all(kind).map(({ id, name }) => ({ kind, name, report: this.#reports.get(id) ?? null })),
    );
  }
}
