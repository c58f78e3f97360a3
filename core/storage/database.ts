import { hostname } from "node:os";
import { type EntityManager, MikroORM } from "@mikro-orm/core";
import { Membership } from "../cluster/membership.js";
import { CLUSTER_ENTITIES } from "../cluster/server-records.js";
import { SharedServers } from "../cluster/shared-servers.js";
import { isMezError, type MezError, messageOf } from "../errors/error.js";
import {
  type DeliveredRow,
  OUTBOX_ENTITIES,
  type OutboxHead,
  type OutboxRow,
  readOutbox,
  readOutboxBetween,
  readOutboxHead,
  type StoredHead,
} from "../events/outbox.js";
import { type Ahead, OutboxFollower } from "../events/outbox-follower.js";
import { OUTBOX_MIGRATIONS } from "../events/outbox-migration.js";
import { OutboxPoll } from "../events/outbox-poll.js";
import type { Database, Entities, Migrations } from "../plugin/database.js";
import type { Duties } from "../plugin/duties.js";
import type { StorageDriver } from "../ports/storage-driver.js";
import { DiskFlush } from "./disk-flush.js";
import { KnownTables } from "./known-tables.js";
import { migrate, migrateAlone } from "./migrations.js";
import { MOVE_ENTITIES } from "./move-note.js";
import { OutboxKeeper } from "./outbox-keeper.js";
import { SchemaWatch } from "./schema-watch.js";
import { openingError } from "./storage-error.js";
import { TransactionQueue } from "./transaction.js";
import type { TransactionOptions } from "./transaction-group.js";

/** The tables of one plugin. */
export interface PluginTables {
  readonly id: string;
  readonly entities: Entities;
  readonly migrations: Migrations;
  /** Whether its version may change while processes run; default `false`. */
  readonly isPackage?: boolean;
}

export interface DatabaseOptions extends Omit<TransactionOptions, "orm" | "keeper" | "shared" | "disk"> {
  readonly driver: StorageDriver;
  /** In dependency order: their migrations run in it. */
  readonly plugins: readonly PluginTables[];
  /** Called when messages of other servers were missed, so that everything built of messages has to be loaded anew. */
  readonly onLost?: () => Promise<void>;
  /** Called with events that a server which is gone has not delivered. */
  readonly onAdopted?: (rows: readonly OutboxRow[]) => void;
  /** Called once when the disk has not taken what was committed: nothing is served any more, and the process has to end. */
  readonly onFlushFailed?: (failure: MezError) => void;
}

/** The database of a running process. */
export interface OpenDatabase {
  readonly database: Database;
  readonly outbox: {
    /** Committed and not delivered, oldest first: what an earlier process left behind. Empty where servers share the database. */
    pending(): Promise<readonly OutboxRow[]>;
    /** One that is not delivered yet; `null` when it is not kept any more. */
    read(seq: number): Promise<OutboxRow | null>;
    /** These need not be kept any more; deleted with a later commit. */
    delivered(rows: readonly DeliveredRow[]): void;
    /** Whether this server is the one to deliver an event. */
    isOurs(row: OutboxRow): Promise<boolean>;
  };
  readonly duties: Duties;
  /** `null` where no others can share the database. */
  readonly servers: SharedServers | null;
  /** Since when commits of other servers may have been missed; 0 where there are none, infinite when a newer server has changed the tables. */
  silentSeconds(): number;
  /** Joins the servers that share the database, and hears of their commits from then on. Does nothing where it is not shared. */
  follow(): Promise<void>;
  /** Adds the tables of a plugin that is enabled while the process runs. Once more for the same id does nothing. */
  addPlugin(tables: PluginTables): Promise<void>;
  /**
   * Forgets entities that no plugin uses any more; their tables stay.
   * @param gone Id of a plugin that does not run here any more: what others do with its tables is theirs.
   */
  forget(entities: Entities, gone?: string): void;
  /** Finishes the transactions that were accepted, then frees everything; after a flush that failed, nothing. */
  close(): Promise<void>;
}

/**
 * Opens the database and brings all tables up to date.
 * @throws {MezError} `STORAGE_IN_USE`, `STORAGE_UNWRITABLE`, `STORAGE_UNSUITABLE`, `STORAGE_LOGIN_REFUSED`, `STORAGE_NEWER`,
 * `STORAGE_CORRUPT`, `STORAGE_FLUSH_FAILED`, `UNAVAILABLE`
 */
export async function openDatabase(options: DatabaseOptions): Promise<OpenDatabase> {
  const { driver, logger } = options;
  const shared = driver.shared ?? null;
  const disk = new DiskFlush(driver, (failure) => options.onFlushFailed?.(failure));
  const orm = new MikroORM({
    ...driver.options(),
    entities: [
      ...OUTBOX_ENTITIES,
      ...CLUSTER_ENTITIES,
      ...MOVE_ENTITIES,
      ...options.plugins.flatMap((plugin) => [...plugin.entities]),
    ],
    metadataCache: { enabled: false },
    // While a plugin is replaced, the entities of its old and its new code are both in use. That no two plugins have one table,
    // the catalog has checked.
    discovery: { checkDuplicateTableNames: false },
  });
  try {
    await driver.opening?.();
    await orm.connect();
    const execute = (sql: string): Promise<unknown> => orm.em.getConnection("write").execute(sql);
    await driver.opened?.(execute);
    await migrateAlone(orm, shared, async (around) => {
      let count = 0;
      for (const { id, migrations } of [CORE, ...options.plugins]) count += await migrate(orm, id, migrations, around);
      if (count > 0) await around?.announce();
    });
    await disk.now();
    await driver.migrated?.(execute);
  } catch (error) {
    if (isMezError(error, "STORAGE_FLUSH_FAILED")) throw error;
    await orm.close(true).catch((failure) => logger.warn("closing the database", { error: messageOf(failure) }));
    await driver.closed?.();
    throw openingError(error, driver.place);
  }
  const schema = new SchemaWatch([CORE, ...options.plugins], logger);
  const keeper = new OutboxKeeper(shared !== null);
  const follower = new OutboxFollower({
    head: await readOutboxHead(orm.em.fork(), { lock: false }),
    deliver: options.onCommitted,
    lost: async () => {
      logger.warn("messages of other servers were missed; loading everything anew");
      await options.onLost?.();
    },
  });
  const caughtUp = async (em: EntityManager, head: StoredHead, ahead?: Ahead): Promise<void> => {
    await schema.check(em, head.schema);
    await follower.catchUp(em, head, ahead);
  };
  const takeTurn = async (em: EntityManager): Promise<OutboxHead> => {
    const reading = readOutboxHead(em, { lock: true });
    const ahead = follower.readAhead(em);
    const head = await reading;
    await caughtUp(em, head, ahead);
    return head;
  };
  const queue = new TransactionQueue({
    ...options,
    orm,
    keeper,
    disk,
    onCommitted: (rows) => follower.advance(rows),
    shared: shared === null ? null : { storage: shared, takeTurn },
  });
  const membership =
    shared === null
      ? null
      : new Membership({ database: queue, keeper, name: hostname(), logger, onAdopted: (rows) => options.onAdopted?.(rows) });
  const poll =
    shared === null
      ? null
      : new OutboxPoll({
          look: () => queue.read(async (em) => caughtUp(em, await readOutboxHead(em, { lock: false }))),
          hasSeen: ({ seq, server }) => server === keeper.server || follower.hasSeen(seq),
          isWriting: () => queue.isRunning,
          shared,
          logger,
        });
  const known = new KnownTables(orm, options.plugins);
  return {
    database: queue,
    outbox: {
      pending: async () => (shared === null ? queue.read(readOutbox) : []),
      read: async (seq) => (await queue.read((em) => readOutboxBetween(em, seq, seq)))[0] ?? null,
      delivered: (rows) => keeper.delivered(rows),
      isOurs: async (row) => membership === null || (await membership.isOurs(row)),
    },
    duties: { have: async (name) => membership === null || (await membership.have(name)) },
    servers: membership === null ? null : new SharedServers(queue, membership, keeper),
    silentSeconds: () => (schema.isOutdated ? Number.POSITIVE_INFINITY : (poll?.silentSeconds() ?? 0)),
    async follow() {
      await membership?.start();
      await poll?.start();
    },
    async addPlugin(tables) {
      // Its tables may be about to change; of a new one there are none to be looked at yet, and none after a failure.
      if (schema.knows(tables.id)) schema.learn(tables);
      await known.add(tables, async () => {
        await migrateAlone(orm, shared, async (around) => {
          // Servers that run it in another version have to follow, or let go of its tables.
          if ((await migrate(orm, tables.id, tables.migrations, around)) > 0) await around?.announce();
        });
        await disk.now();
      });
      schema.learn(tables);
    },
    forget(entities, gone) {
      known.forget(entities);
      if (gone !== undefined) schema.unlearn(gone);
    },
    async close() {
      await poll?.stop();
      await membership?.stop();
      await queue.close();
      // Closing writes as well, from memory that cannot be trusted.
      if (disk.failure !== null) return;
      await orm.close(true);
      await driver.closed?.();
    },
  };
}

// --- internal ---

const CORE: PluginTables = { id: "core", entities: OUTBOX_ENTITIES, migrations: OUTBOX_MIGRATIONS };
