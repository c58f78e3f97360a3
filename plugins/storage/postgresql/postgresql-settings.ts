import { isIP } from "node:net";
import { MezError } from "../../../core/errors/error.js";
import type { Secret } from "../../../core/plugin/secret.js";
import { parseDuration } from "../../../core/time/duration.js";

/** Section `database` with `driver: postgres`, as its schema lets it through. */
export interface PostgresqlConfig {
  readonly host: string;
  readonly port: number;
  readonly name: string;
  readonly user: string;
  readonly password?: Secret;
  readonly sslmode?: SslMode;
  readonly sslrootcert?: string;
  readonly sslcert?: string;
  readonly sslkey?: string;
  readonly pool_size: number;
  readonly connect_timeout: string;
  readonly statement_timeout: string;
  readonly idle_transaction_timeout: string;
  readonly listen: boolean;
}

/** As libpq has them, without those that fall back to no encryption. */
export type SslMode = "disable" | "require" | "verify-ca" | "verify-full";

/** Where a PostgreSQL server may be. */
export interface ServerAddress {
  /** Name, address, or the folder of a unix socket. */
  readonly host: string;
  readonly port: number;
}

export interface PostgresqlSettings {
  /** At least one; the one that is the primary is used. */
  readonly servers: readonly ServerAddress[];
  readonly database: string;
  readonly user: string;
  readonly password: Secret | null;
  readonly sslMode: SslMode;
  /** PEM files. */
  readonly caFile: string | null;
  readonly certificate: { readonly file: string; readonly keyFile: string } | null;
  readonly poolSize: number;
  readonly connectSeconds: number;
  readonly statementSeconds: number;
  readonly idleTransactionSeconds: number;
  readonly listen: boolean;
}

/**
 * Checks what a schema cannot say.
 * @throws {MezError} `CONFIG_INVALID`
 */
export function postgresqlSettings(config: PostgresqlConfig): PostgresqlSettings {
  const servers = config.host.split(",").map((text) => parseServer(text.trim(), config.port));
  const sslMode = config.sslmode ?? (servers.every(isLocal) ? "disable" : "verify-full");
  if ((config.sslcert === undefined) !== (config.sslkey === undefined))
    throw new MezError("CONFIG_INVALID", "database.sslcert and database.sslkey go together");
  for (const key of ["sslrootcert", "sslcert"] as const) {
    if (sslMode === "disable" && config[key] !== undefined)
      throw new MezError(
        "CONFIG_INVALID",
        `database.${key} is of no use while database.sslmode is disable; set it to verify-full`,
      );
  }
  return {
    servers,
    database: config.name,
    user: config.user,
    password: config.password ?? null,
    sslMode,
    caFile: config.sslrootcert ?? null,
    certificate:
      config.sslcert === undefined || config.sslkey === undefined ? null : { file: config.sslcert, keyFile: config.sslkey },
    poolSize: config.pool_size,
    connectSeconds: parseDuration(config.connect_timeout),
    statementSeconds: parseDuration(config.statement_timeout),
    idleTransactionSeconds: parseDuration(config.idle_transaction_timeout),
    listen: config.listen,
  };
}

// --- internal ---

function parseServer(text: string, port: number): ServerAddress {
  if (text.startsWith("/")) return { host: text, port };
  if (isIP(text) === 6) return { host: text, port };
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const own = match?.[3] === undefined ? port : Number(match[3]);
  if (host === undefined || own < 1 || own > 65_535 || (match?.[1] !== undefined && isIP(host) !== 6)) {
    throw new MezError(
      "CONFIG_INVALID",
      `database.host: "${text.slice(0, 80)}" is no host; write db.example.com, db.example.com:5433, [2001:db8::1]:5433 or /run/postgresql`,
    );
  }
  return { host, port: own };
}

function isLocal({ host }: ServerAddress): boolean {
  return host.startsWith("/") || host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}
