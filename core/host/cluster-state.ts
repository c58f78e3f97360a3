import type { SharedServers } from "../cluster/shared-servers.js";
import { MezError, messageOf } from "../errors/error.js";
import { kindId } from "../events/collections.js";
import { Dispatcher, type Subscribers } from "../events/dispatcher.js";
import { LocalCollections } from "../events/local-collections.js";
import type { OutboxRow } from "../events/outbox.js";
import { RemoteCollections } from "../events/remote-collections.js";
import type { AuditRecord } from "../plugin/audit.js";
import type { Duties } from "../plugin/duties.js";
import type { Logger } from "../plugin/logger.js";
import type { ProcessInfo } from "../plugin/process.js";
import { AUDIT_SINK } from "../ports/audit-sink.js";
import { STORAGE_DRIVER } from "../ports/storage-driver.js";
import { type OpenDatabase, openDatabase, type PluginTables } from "../storage/database.js";
import { deleteMoveNote, readMoveNote } from "../storage/move-note.js";
import type { Clock } from "../time/clock.js";
import { type Generation, resolverOf } from "./generation.js";
import type { PluginInstance } from "./instance.js";
import { DatabaseHandle } from "./plugin-database.js";

export interface ClusterStateParts {
  readonly process: ProcessInfo;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly generation: () => Generation;
  readonly subscribers: Subscribers;
  /** Called once when the database cannot go on and the process has to end. */
  readonly onBroken: (failure: MezError) => void;
}

/**
 * What the process knows of the cluster: in role auth the database, with its collections and events following the
 * commits; elsewhere copies of the collections alone.
 */
export class ClusterState {
  /** Known before it is open: plugins are built first. */
  readonly database = new DatabaseHandle();
  readonly collections: LocalCollections | RemoteCollections;
  readonly duties: Duties = { have: async (name) => (await this.#open?.storage.duties.have(name)) ?? false };
  #open: { readonly storage: OpenDatabase; readonly dispatcher: Dispatcher } | null = null;
  /** Events of processes that are gone; kept until every subscriber runs, `null` from then on. */
  #leftovers: OutboxRow[] | null = [];

  constructor(private readonly parts: ClusterStateParts) {
    const { process, logger } = parts;
    this.collections = process.roles.has("auth") ? new LocalCollections() : new RemoteCollections(logger);
  }

  /** The collections that this process publishes; `null` when it follows those of another. */
  get published(): LocalCollections | null {
    return this.collections instanceof LocalCollections ? this.collections : null;
  }

  /** The auth servers that share the database; `null` where there can be none. */
  get servers(): SharedServers | null {
    return this.#open?.storage.servers ?? null;
  }

  /**
   * Opens the database with the driver and the tables of a built generation, and loads its collections.
   * @throws {MezError} `PLUGIN_GRAPH_INVALID`, and what `openDatabase` throws
   */
  async open(generation: Generation): Promise<void> {
    const collections = this.published;
    if (collections === null) return;
    const [driver] = generation.implementations(STORAGE_DRIVER).values();
    if (driver === undefined) throw new MezError("PLUGIN_GRAPH_INVALID", "no enabled plugin opens a database");
    const { process, clock, logger, subscribers } = this.parts;
    const storage = await openDatabase({
      driver,
      plugins: generation.instances.map(tablesOf),
      sinks: () => [...this.parts.generation().implementations(AUDIT_SINK).values()],
      clock,
      clusterName: process.clusterName,
      logger,
      onCommitted: (rows) => this.#open?.dispatcher.committed(rows),
      onLost: async () => {
        await collections.reload();
        this.#open?.dispatcher.missed();
      },
      onAdopted: (rows) => this.#adopt(rows),
      onFlushFailed: (failure) => this.parts.onBroken(failure),
    });
    const { isOurs, read, delivered } = storage.outbox;
    this.#open = { storage, dispatcher: new Dispatcher({ collections, subscribers, isOurs, read, delivered, logger }) };
    this.#adopt(await storage.outbox.pending());
    this.database.opened(storage.database);
    const moved = await storage.database.read(readMoveNote);
    if (moved?.complete === false) {
      throw new MezError(
        "STORAGE_CORRUPT",
        `the database was to be filled from ${moved.fromPlace}, and that did not end; make a new one and move again`,
      );
    }
    await this.#publish(generation.instances);
    await storage.follow();
    collections.heardBy(() => storage.silentSeconds());
  }

  /** Adds the tables and collections of plugins that are enabled while the process runs. */
  async add(instances: readonly PluginInstance[]): Promise<void> {
    for (const instance of instances) await this.#open?.storage.addPlugin(tablesOf(instance));
    await this.#publish(instances);
  }

  /**
   * Puts tables and collections back to those of `generation`, after `fresh` could not start beside it.
   * @returns What failed; all else is put back.
   */
  async undo(fresh: readonly PluginInstance[], generation: Generation): Promise<readonly MezError[]> {
    for (const instance of fresh) {
      this.forget(instance, generation);
      this.withdraw(instance, generation);
    }
    const kinds = kindsOf(fresh);
    const failures: MezError[] = [];
    for (const instance of generation.instances) {
      for (const { kind, source } of instance.declarations.collections) {
        if (!kinds.has(kindId(kind))) continue;
        await this.published?.publish(kind, source(resolverOf(instance))).catch((cause: unknown) => {
          const why = `collection "${kind.name}" of plugin "${instance.id}" could not be read again: ${messageOf(cause)}`;
          failures.push(new MezError("INTERNAL", why, { cause }));
        });
      }
    }
    return failures;
  }

  /** Lets go of the entities of an instance that was disposed of; those of `generation` stay. */
  forget(gone: PluginInstance, generation: Generation): void {
    const inUse = new Set(generation.instances.flatMap(({ declarations }) => declarations.entities));
    const entities = gone.declarations.entities.filter((entity) => !inUse.has(entity));
    const goesOn = generation.instances.some(({ id }) => id === gone.id);
    this.#open?.storage.forget(entities, goesOn ? undefined : gone.id);
  }

  /** Stops showing watchers what only `leaving` published. */
  withdraw(leaving: PluginInstance, next: Generation): void {
    const goesOn = kindsOf(next.instances);
    for (const { kind } of leaving.declarations.collections) if (!goesOn.has(kindId(kind))) this.published?.withdraw(kind);
  }

  /** Delivers the events that an earlier process committed and could not; once, when every subscriber runs. */
  deliverLeftovers(): void {
    if (this.#open === null) return;
    this.#auditMove().catch((error: unknown) =>
      this.parts.logger.error("the move of the database could not be audited", { error: messageOf(error) }),
    );
    const leftovers = this.#leftovers ?? [];
    this.#leftovers = null;
    this.#adopt(leftovers);
  }

  /** Writes an audit record of the core's own; a failure is logged. */
  audit(record: AuditRecord): void {
    this.database
      .transaction(async (tx) => tx.audit(record))
      .catch((error: unknown) =>
        this.parts.logger.error("an audit event could not be written", { type: record.type, error: messageOf(error) }),
      );
  }

  /** Delivers what is committed, then closes. */
  async close(): Promise<void> {
    await this.#open?.dispatcher.close();
    if (this.collections instanceof RemoteCollections) await this.collections.close();
    this.database.closed();
    await this.#open?.storage.close();
  }

  /** A database that was filled from another one says so in the audit log, once. */
  async #auditMove(): Promise<void> {
    if ((await this.database.read(readMoveNote)) === null) return;
    await this.database.transaction(async (tx) => {
      const note = await readMoveNote(tx.em);
      if (note === null) return;
      await deleteMoveNote(tx.em);
      tx.audit({ type: "database.moved", resourceType: "database", metadata: { from: note.fromPlace, rows: note.rows } });
    });
  }

  #adopt(rows: readonly OutboxRow[]): void {
    if (this.#leftovers !== null) this.#leftovers.push(...rows);
    else this.#open?.dispatcher.redeliver(rows);
  }

  async #publish(instances: readonly PluginInstance[]): Promise<void> {
    for (const instance of instances) {
      for (const { kind, source } of instance.declarations.collections)
        await this.published?.publish(kind, source(resolverOf(instance)));
    }
  }
}

// --- internal ---

/** The collections that instances publish, each in its version: two versions of one are two collections. */
function kindsOf(instances: readonly PluginInstance[]): ReadonlySet<string> {
  return new Set(instances.flatMap(({ declarations }) => declarations.collections.map(({ kind }) => kindId(kind))));
}

function tablesOf({ id, declarations, isPackage }: PluginInstance): PluginTables {
  return { id, entities: declarations.entities, migrations: declarations.migrations, isPackage };
}
