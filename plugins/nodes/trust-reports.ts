import type { TrustFollower } from "../ca/api.js";
import type { AgentDirectory } from "./agent-directory.js";
import type { Heartbeats } from "./heartbeats.js";

/** What each agent said last of the CA keys that it trusts, for rotations. */
export class TrustReports {
  constructor(
    private readonly directory: AgentDirectory,
    private readonly heartbeats: Pick<Heartbeats, "trustOf">,
  ) {}

  /** Every agent of the cluster, those that have said nothing too. */
  followers(): readonly TrustFollower[] {
    return (["node", "proxy"] as const).flatMap((kind) =>
      this.directory.all(kind).map(({ id, name }) => ({ kind, name, report: this.heartbeats.trustOf(id) })),
    );
  }
}
