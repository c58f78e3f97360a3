import type { EntityManager } from "@mikro-orm/core";
import type { AuditEvent } from "../plugin/audit.js";
import type { Port } from "../plugin/contract.js";

/** Where audit events go. */
export interface AuditSink {
  /** Writes inside the transaction of the change that the events tell of; a failure rolls the change back. */
  append(events: readonly AuditEvent[], em: EntityManager): Promise<void>;
}

export const AUDIT_SINK: Port<AuditSink> = { id: "audit-sink", version: 1, cardinality: "at-least-one" };
