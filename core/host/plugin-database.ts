import type { EntityManager } from "@mikro-orm/core";
import { MezError } from "../errors/error.js";
import type { Database, Transaction } from "../plugin/database.js";
import type { Manifest } from "../plugin/manifest.js";

/** The database of a process, known before it is open: plugins are built first, and open nothing. */
export class DatabaseHandle implements Database {
  #open: Database | null = null;

  opened(database: Database): void {
    this.#open = database;
  }

  closed(): void {
    this.#open = null;
  }

  read<T>(work: (em: EntityManager) => Promise<T>): Promise<T> {
    return this.#database().read(work);
  }

  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.#database().transaction(work);
  }

  #database(): Database {
    if (this.#open === null) throw new MezError("UNAVAILABLE", "the database is not open");
    return this.#open;
  }
}

/** The database as one plugin sees it: it can write only the audit events that its manifest names. */
export function databaseFor(manifest: Manifest, database: Database): Database {
  const allowed = new Set<string>(manifest.contributes?.auditEvents);
  return {
    read: (work) => database.read(work),
    transaction: (work) => database.transaction((tx) => work(onlyAuditing(tx, allowed, manifest.id))),
  };
}

// --- internal ---

function onlyAuditing(tx: Transaction, allowed: ReadonlySet<string>, id: string): Transaction {
  return {
    // Asked for only when used: a job that never touches the database needs no savepoint.
    get em() {
      return tx.em;
    },
    emit: (type, event) => tx.emit(type, event),
    put: (kind, key, value) => tx.put(kind, key, value),
    remove: (kind, key) => tx.remove(kind, key),
    audit: (record) => {
      if (!allowed.has(record.type))
        throw new MezError("INTERNAL", `plugin "${id}" writes audit event "${record.type}", which its manifest does not name`);
      tx.audit(record);
    },
  };
}
