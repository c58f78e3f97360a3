import type { EntityManager } from "@mikro-orm/core";
import type { AuditEvent } from "../plugin/audit.js";
import type { Port } from "../plugin/contract.js";

/** Where audit events go. */
export interface AuditSink {
  /**
   * Called when a transaction begins, in which `append` may be called: reads what that will need together with what else is
   * read first. Nobody else writes in between.
   *
   * `append` of a sink that has this gives all its statements to `em`, raw, before it waits for anything: the commit goes out
   * right behind them, and a later one is refused. What must not pass is thrown before that, or refused by the database.
   */
  prepare?(em: EntityManager): Promise<void>;
  /**
   * Writes inside the transaction of the changes that the events tell of; a failure rolls them back. Changes that are
   * committed together come in one call, in their order; ids are unique in it.
   */
  append(events: readonly AuditEvent[], em: EntityManager): Promise<void>;
}

export const AUDIT_SINK: Port<AuditSink> = { id: "audit-sink", version: 1, cardinality: "at-least-one" };
