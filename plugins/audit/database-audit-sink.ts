import type { EntityManager } from "@mikro-orm/core";
import type { AuditEvent } from "../../core/plugin/audit.js";
import type { AuditSink } from "../../core/ports/audit-sink.js";
import { appendRows, type ChainHead, readHead } from "./audit-repository.js";
import { toUnchainedRow } from "./audit-row.js";

/** Keeps audit events in the cluster's own database, chained by hash. */
export class DatabaseAuditSink implements AuditSink {
  /** Where each transaction found the end of the chain. */
  readonly #heads = new WeakMap<object, ChainHead | null>();

  /** @param appended Called with the events, before their commit. */
  constructor(private readonly appended: () => void = () => undefined) {}

  async prepare(em: EntityManager): Promise<void> {
    const transaction: object | undefined = em.getTransactionContext();
    if (transaction !== undefined) this.#heads.set(transaction, await readHead(em));
  }

  async append(events: readonly AuditEvent[], em: EntityManager): Promise<void> {
    const transaction: object = em.getTransactionContext() ?? em;
    const head = this.#heads.has(transaction) ? (this.#heads.get(transaction) ?? null) : await readHead(em);
    this.#heads.set(transaction, await appendRows(em, events.map(toUnchainedRow), head));
    this.appended();
  }
}
