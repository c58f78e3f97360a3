import { readFileSync } from "node:fs";
import { type ConnectionOptions, checkServerIdentity } from "node:tls";
import type { Options } from "@mikro-orm/core";
import { PostgreSqlDriver } from "@mikro-orm/postgresql";
import { MezError } from "../../../core/errors/error.js";
import { systemReason } from "../../../core/errors/system-reason.js";
import type { Logger } from "../../../core/plugin/logger.js";
import type { SharedStorage, StorageDriver } from "../../../core/ports/storage-driver.js";
import { ChangeListener } from "./change-listener.js";
import type { PgPool, PgStream } from "./pg-client.js";
import type { PostgresqlSettings } from "./postgresql-settings.js";
import { clientOf, ServerChoice } from "./server-choice.js";

/** A database in PostgreSQL 14 or later, which several servers share. */
export class PostgresqlStorageDriver implements StorageDriver {
  readonly shared: SharedStorage;
  readonly #choice: ServerChoice;
  #pool: PgPool | null = null;
  /** Migrations under way. */
  #migrations = 0;

  constructor(
    private readonly settings: PostgresqlSettings,
    private readonly logger: Logger,
  ) {
    this.#choice = new ServerChoice(settings.servers);
    const { statementSeconds, idleTransactionSeconds } = settings;
    this.shared = {
      // `local`, so that a pooler may give each transaction another connection.
      begin: `begin; select ${local("statement_timeout", statementSeconds)}, ${local("lock_timeout", LOCK_SECONDS)}, ${local("idle_in_transaction_session_timeout", idleTransactionSeconds)}, ${DURABLE}`,
      tell: (note) => `notify ${CHANNEL}, '${note}'`,
      lockForMigrations: `set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0; set local lock_timeout = '${MIGRATION_LOCK_SECONDS}s'; select pg_advisory_xact_lock(${MIGRATION_LOCK})`,
      migrating: (isUnderWay) => {
        this.#migrations += isUnderWay ? 1 : -1;
      },
      listen: (onChange) => {
        if (!settings.listen || this.#pool === null) return async () => {};
        const listener = new ChangeListener(this.#pool, CHANNEL, onChange, logger);
        listener.start();
        return () => listener.stop();
      },
    };
  }

  get place(): string {
    const names = this.settings.servers.map(({ host, port }) => (host.startsWith("/") ? host : `${host}:${port}`));
    return `PostgreSQL at ${names.join(" or ")}`;
  }

  options(): Partial<Options> {
    const { database, user, password, poolSize, connectSeconds } = this.settings;
    return {
      driver: PostgreSqlDriver,
      ensureDatabase: false,
      dbName: database,
      user,
      password: password === null ? "" : password.expose(),
      ...this.#choice.current,
      pool: { min: 0, max: poolSize, idleTimeoutMillis: IDLE_MS },
      driverOptions: {
        enableChannelBinding: true,
        connectionTimeoutMillis: connectSeconds * 1000,
        application_name: "mezite",
        keepAlive: true,
        keepAliveInitialDelayMillis: 10_000,
        // A transaction sends what it can in one piece: other servers wait until it is over.
        pipeline: true,
        onPoolCreated: (pool: PgPool) => {
          pool.Client = clientOf(pool.Client, this.#choice, {
            settings: { statement_timeout: `${this.settings.statementSeconds}s`, client_min_messages: "warning" },
            tls: (host) => this.#tls(host),
            guard: (stream) => this.#guard(stream),
          });
          this.#pool = pool;
        },
      },
    };
  }

  async opened(execute: (sql: string) => Promise<unknown>): Promise<void> {
    const [found] = await this.#facts(execute);
    if (found === undefined || found.version < 140_000)
      throw new MezError(
        "STORAGE_UNSUITABLE",
        `PostgreSQL ${Math.floor((found?.version ?? 0) / 10_000)} is too old; use 14 or later`,
      );
    if (found.encoding !== "UTF8") {
      throw new MezError(
        "STORAGE_UNSUITABLE",
        `the database ${this.settings.database} has encoding ${found.encoding}; create it with encoding UTF8`,
      );
    }
    if (found.fsync === "off")
      this.logger.warn("the database has fsync = off: a crash of its machine can lose what was acknowledged, locks among it");
  }

  /** Asks one server after the other: any of them may be the primary. */
  async #facts(execute: (sql: string) => Promise<unknown>): Promise<readonly DatabaseFacts[]> {
    for (let others = this.settings.servers.length - 1; ; others -= 1) {
      try {
        return (await execute(FACTS)) as readonly DatabaseFacts[];
      } catch (error) {
        if (others === 0) throw error;
      }
    }
  }

  /** A connection on which nothing comes for longer than any statement may take is dead: its network is cut. */
  #guard(stream: PgStream): void {
    stream.setTimeout((this.settings.statementSeconds + GUARD_SECONDS) * 1000, () => {
      if (this.#migrations === 0) stream.destroy(Object.assign(new Error("the database is silent"), { code: "ETIMEDOUT" }));
    });
  }

  #tls(host: string): false | ConnectionOptions {
    const { sslMode, caFile, certificate } = this.settings;
    if (sslMode === "disable") return false;
    return {
      minVersion: "TLSv1.2",
      rejectUnauthorized: sslMode !== "require",
      // By the host that was configured: `pg` checks a host given as an address for the name "localhost".
      checkServerIdentity: (_name, shown) => (sslMode === "verify-full" ? checkServerIdentity(host, shown) : undefined),
      ...(caFile === null ? {} : { ca: readPem("sslrootcert", caFile) }),
      ...(certificate === null
        ? {}
        : { cert: readPem("sslcert", certificate.file), key: readPem("sslkey", certificate.keyFile) }),
    };
  }
}

// --- internal ---

interface DatabaseFacts {
  readonly version: number;
  readonly encoding: string;
  readonly fsync: "on" | "off";
}

const FACTS =
  "select current_setting('server_version_num')::int as version, getdatabaseencoding() as encoding, current_setting('fsync') as fsync";
// A server or role may be set to answer before the commit is on its disk. Stronger settings stay.
const DURABLE =
  "set_config('synchronous_commit', case current_setting('synchronous_commit') when 'off' then 'on' else current_setting('synchronous_commit') end, true)";
const CHANNEL = "mezite_outbox";
/** Any number that other programs in the same database do not use. */
const MIGRATION_LOCK = 7_218_033_460;
const MIGRATION_LOCK_SECONDS = 300;
// How long to wait for other servers' transactions before the caller is told to try again.
const LOCK_SECONDS = 10;
const IDLE_MS = 10_000;
const GUARD_SECONDS = 5;

/** Sets a parameter until the end of the transaction. */
function local(parameter: string, seconds: number): string {
  return `set_config('${parameter}', '${seconds}s', true)`;
}

function readPem(key: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new MezError("CONFIG_INVALID", `database.${key}: cannot read ${file}: ${systemReason(cause)}`, { cause });
  }
}
