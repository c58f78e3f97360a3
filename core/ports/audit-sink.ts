import type { EntityManager } from "@mikro-orm/core";
import type { AuditEvent } from "../plugin/audit.js";
import type { Port } from "../plugin/contract.js";

/** Where audit events go. */
export interface AuditSink {
  /**
   * Writes inside the transaction of the changes that the events tell of; a failure rolls them back. Changes that are
   * committed together come in one call, in their order; ids are unique in it.
   */
  append(events: readonly AuditEvent[], em: EntityManager): Promise<void>;
}

export const AUDIT_SINK: Port<AuditSink> = { id: "audit-sink", version: 1, cardinality: "at-least-one" };
