import type { EntityManager } from "@mikro-orm/core";
import { collectionTopic, eventTopic, type OutboxMessage } from "../events/outbox.js";
import type { AuditRecord } from "../plugin/audit.js";
import type { CollectionKind } from "../plugin/collection.js";
import type { EventType } from "../plugin/contract.js";
import type { Transaction } from "../plugin/database.js";

/** The transaction that plugins see: keeps what was raised and recorded until the work is done. */
export class RecordedTransaction implements Transaction {
  readonly messages: OutboxMessage[] = [];
  readonly audits: AuditRecord[] = [];

  #em: EntityManager | null = null;

  /** @param open Makes the transaction's entity manager, when it is asked for the first time. */
  constructor(private readonly open: () => EntityManager) {}

  get em(): EntityManager {
    this.#em ??= this.open();
    return this.#em;
  }

  /** Writes what the entity manager still holds; costs nothing when nobody has asked for it. */
  async flush(): Promise<void> {
    if (this.#em !== null && holdsEntities(this.#em)) await this.#em.flush();
  }

  emit<Event>(type: EventType<Event>, event: Event): void {
    this.messages.push({ topic: eventTopic(type), key: null, payload: copy(event), removed: false });
  }

  put<T>(kind: CollectionKind<T>, key: string, value: T): void {
    this.messages.push({ topic: collectionTopic(kind), key, payload: copy(value), removed: false });
  }

  remove<T>(kind: CollectionKind<T>, key: string): void {
    this.messages.push({ topic: collectionTopic(kind), key, payload: undefined, removed: true });
  }

  audit(record: AuditRecord): void {
    this.audits.push(record);
  }
}

// --- internal ---

/** Looking for changes takes longer than most statements, also among nothing. */
function holdsEntities(em: EntityManager): boolean {
  const work = em.getUnitOfWork(false);
  if (work.getPersistStack().size + work.getRemoveStack().size + work.getOrphanRemoveStack().size > 0) return true;
  if (work.getCollectionUpdates().length + work.getExtraUpdates().size > 0) return true;
  return work.getIdentityMap().keys().length > 0;
}

// Through JSON at once: a later change of the object must not reach the message, and every receiver sees the same form.
function copy(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value ?? null));
}
