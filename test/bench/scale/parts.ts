import type { Figure } from "../figure.js";
import { measureAuditLoad } from "./audit-load.js";
import { measureConnecting } from "./connecting.js";
import { measureOpening } from "./opening.js";
import { measureReaching } from "./reaching.js";
import { measureAuthReturning, measureProxyReturning } from "./returning.js";
import type { ScaleBed } from "./scale-bed.js";
import { measureTerminals } from "./terminals.js";

/** How much is measured. */
export interface Effort {
  /** Names of optional parts; `null` for all. */
  readonly parts: readonly string[] | null;
  /** Numbers of agents, growing. */
  readonly agents: readonly number[];
  readonly logins: number;
  readonly typingSeconds: number;
  readonly auditSeconds: number;
  /** How long connected agents are watched. */
  readonly restSeconds: number;
}

/** One part of what is measured with one number of agents. */
export interface Part {
  readonly what: string;
  /** After which it has failed. */
  readonly limitSeconds: number;
  /** What it is chosen by; `null` for one that nothing later can be measured without. */
  readonly name: string | null;
  measure(): Promise<readonly Figure[]>;
}

/** Those that can be chosen. */
export const OPTIONAL_PARTS = ["changes", "logins", "terminals", "audit", "returning"] as const;

/** What is done with so many agents, in this order. @param one A cluster with a single agent, to compare with. */
export function partsOf(many: ScaleBed, one: ScaleBed, agents: number, effort: Effort): readonly Part[] {
  const isLast = agents === effort.agents.at(-1);
  // What is said of fewer agents is there to compare with, and shows in less time.
  const { logins, typingSeconds, auditSeconds, restSeconds } = isLast ? effort : shorter(effort);
  const terminals = Math.min(agents, MAX_TERMINALS);
  const part = (name: Part["name"], what: string, limitSeconds: number, measure: Part["measure"]): Part => ({
    ...{ name, what, limitSeconds, measure },
  });
  return [
    part(null, "joining", 420, () => many.join(agents)),
    part(null, "starting anew", 120, () => many.restart(agents)),
    part(null, "connecting, and heartbeats", 360, () => measureConnecting(many, agents, restSeconds)),
    part("changes", "changes", 240, () => measureReaching(many)),
    part("logins", "logins", 120, () => measureOpening(many, one, agents, logins)),
    part("terminals", "terminals", 240, () => measureTerminals(many, agents, terminals, typingSeconds)),
    part("returning", "coming back to the proxy", RETURNING_SECONDS + 20, () => measureProxyReturning(many, RETURNING_SECONDS)),
    part("returning", "coming back to the auth service", RETURNING_SECONDS + 20, () =>
      measureAuthReturning(many, RETURNING_SECONDS),
    ),
    // The last: the processes of the agents keep the priority that they have in it.
    part("audit", "audit events", auditSeconds + 90, () => measureAuditLoad(many, auditSeconds)),
  ].filter(({ name }) => name === null || (effort.parts ?? OPTIONAL_PARTS).some((chosen) => chosen === name));
}

// --- internal ---

const MAX_TERMINALS = 1_000;
const RETURNING_SECONDS = 150;

function shorter(effort: Effort): Effort {
  const { logins, typingSeconds, auditSeconds, restSeconds } = effort;
  return {
    ...effort,
    logins: Math.min(20, logins),
    typingSeconds: Math.min(10, typingSeconds),
    auditSeconds: Math.min(10, auditSeconds),
    restSeconds: Math.min(20, restSeconds),
  };
}
