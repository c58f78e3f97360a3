import type { EntityManager } from "@mikro-orm/core";
import type { AuditEvent } from "../../core/plugin/audit.js";
import type { AuditSink } from "../../core/ports/audit-sink.js";
import { appendRows } from "./audit-repository.js";
import { toUnchainedRow } from "./audit-row.js";

/** Keeps audit events in the cluster's own database, chained by hash. */
export class DatabaseAuditSink implements AuditSink {
  /** @param appended Called with the events, before their commit. */
  constructor(private readonly appended: () => void = () => undefined) {}

  async append(events: readonly AuditEvent[], em: EntityManager): Promise<void> {
    await appendRows(em, events.map(toUnchainedRow));
    this.appended();
  }
}
