import type { EntityManager, EntitySchema } from "@mikro-orm/core";
import type { Migration } from "@mikro-orm/migrations";
import type { AuditRecord } from "./audit.js";
import type { CollectionKind } from "./collection.js";
import type { EventType, ServiceToken } from "./contract.js";

/** What `defineEntity` returns, in a list. */
export type Entities = readonly EntitySchema[];

/** In the order in which they are applied; `name` is what the history table remembers, and is never changed. */
export type Migrations = readonly { readonly name: string; readonly class: new (...args: never[]) => Migration }[];

/**
 * One unit of work. Rows, events, collection changes and audit records commit together or not at all; events and
 * collection changes are delivered after the commit, in order.
 */
export interface Transaction {
  readonly em: EntityManager;
  /** Raises an event for `Registrar.on`. `event` must survive JSON. */
  emit<Event>(type: EventType<Event>, event: Event): void;
  /** Tells every live copy of the collection that `key` now has this value. */
  put<T>(kind: CollectionKind<T>, key: string, value: T): void;
  /** Tells every live copy of the collection that `key` is gone. */
  remove<T>(kind: CollectionKind<T>, key: string): void;
  audit(record: AuditRecord): void;
}

export interface Database {
  /** Reads with a fresh identity map; what `work` changes is not written. */
  read<T>(work: (em: EntityManager) => Promise<T>): Promise<T>;
  /**
   * Runs `work` as the only writer. Resolves after the commit is durable.
   * @throws whatever `work` throws, with everything rolled back; `UNAVAILABLE` when the database is out of reach.
   */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>;
}

export const DATABASE: ServiceToken<Database> = { id: "core.database", version: 1 };
