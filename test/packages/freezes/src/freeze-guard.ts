import type { Clock, Collection, Guard, GuardRefusal, GuardSubject } from "mezite/plugin";
import { covers, type FreezeEntry } from "./freeze.js";

/** Refuses people who want to a frozen machine; proxies and nodes then end what they do there. Reads the live copy: no session waits for an answer from elsewhere. */
export class FreezeGuard implements Guard {
  constructor(
    private readonly freezes: Collection<FreezeEntry>,
    private readonly clock: Clock,
  ) {}

  refusal({ user, agentIdentity, agent }: GuardSubject): GuardRefusal | null {
    // The machine itself goes on: its agent has to stay connected.
    if (agent === undefined || (user === undefined && agentIdentity === undefined)) return null;
    const now = this.clock.now();
    for (const [id, freeze] of this.freezes.entries()) {
      if (!covers(freeze, agent, now)) continue;
      const reason = freeze.reason === "" ? "" : `: ${freeze.reason}`;
      return { message: `${agent} is frozen until ${freeze.expiresAt}${reason}`, detail: `freeze ${id}` };
    }
    return null;
  }

  onChange(listener: () => void): () => void {
    return this.freezes.onChange(() => listener());
  }
}
