import type { Figure } from "../figure.js";
import { measureAuditLoad } from "./audit-load.js";
import { measureConnecting } from "./connecting.js";
import { measureOpening } from "./opening.js";
import { measureReaching } from "./reaching.js";
import { measureReturning } from "./returning.js";
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
export const OPTIONAL_PARTS = ["changes", "logins", "terminals", "returning", "audit"] as const;

const MAX_TERMINALS = 1_000;
const AUDIT_SECONDS_BEFORE_THE_LAST = 10;

/** What is done with so many agents, in this order. @param one A cluster with a single agent, to compare with. */
export function partsOf(many: ScaleBed, one: ScaleBed, agents: number, effort: Effort): readonly Part[] {
  const { logins, typingSeconds } = effort;
  const isLast = agents === effort.agents.at(-1);
  const auditSeconds = isLast ? effort.auditSeconds : Math.min(AUDIT_SECONDS_BEFORE_THE_LAST, effort.auditSeconds);
  const terminals = Math.min(agents, MAX_TERMINALS);
  const part = (name: Part["name"], what: string, limitSeconds: number, measure: Part["measure"]): Part => ({
    ...{ name, what, limitSeconds, measure },
  });
  return [
    part(null, "joining", 420, () => many.join(agents)),
    part(null, "starting anew", 60, () => many.restart(agents)),
    part(null, "connecting, and heartbeats", 300, () => measureConnecting(many, agents, isLast ? 60 : 25)),
    part("changes", "changes", 240, () => measureReaching(many)),
    part("logins", "logins", 60, () => measureOpening(many, one, agents, logins)),
    part("terminals", "terminals", 240, () => measureTerminals(many, agents, terminals, typingSeconds)),
    part("returning", "coming back", 260, () => measureReturning(many)),
    part("audit", "audit events", auditSeconds + 60, () => measureAuditLoad(many, agents, auditSeconds)),
  ].filter(({ name }) => name === null || (effort.parts ?? OPTIONAL_PARTS).some((chosen) => chosen === name));
}
