import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { readSecretReference } from "../../core/config/secret-reference.js";
import { MezError } from "../../core/errors/error.js";
import { systemReason } from "../../core/errors/system-reason.js";
import { parseCheckedYaml } from "../../core/plugin/checked-yaml.js";
import type { Secret } from "../../core/plugin/secret.js";
import { parseHostPort } from "../../core/rpc/address.js";
import { formatDuration, parseDuration } from "../../core/time/duration.js";
import { parseSshProxy, type SshProxyAddress } from "./openssh-config.js";

/** What the command line says; what is absent there is looked for in the file. */
export interface IdentityInput {
  readonly authServer: readonly string[] | undefined;
  readonly token: Secret | undefined;
  readonly tokenFile: string | undefined;
  readonly destinationDir: string | undefined;
  readonly certTtl: number | undefined;
  readonly renewalInterval: number | undefined;
  readonly oneShot: boolean;
  readonly proxy: readonly string[] | undefined;
  readonly groupReadable: string | undefined;
  readonly healthAddr: string | undefined;
  readonly workloadSocket: string | undefined;
  readonly workloadSocketMode: string | undefined;
}

/** Where programs of this host get their SVIDs. */
export interface WorkloadSocketSettings {
  /** Absolute. */
  readonly path: string;
  /** Permission bits of the socket. */
  readonly mode: number;
}

export interface IdentitySettings {
  /** `host:port`, tried in order. */
  readonly authServers: readonly string[];
  readonly token: Secret | null;
  /** Absolute. */
  readonly destination: string;
  readonly certTtlSeconds: number;
  readonly renewalIntervalSeconds: number;
  readonly oneShot: boolean;
  /** For an OpenSSH configuration beside the certificates, tried in order; empty for none. */
  readonly sshProxies: readonly SshProxyAddress[];
  readonly group: string | null;
  readonly healthAddress: string | null;
  /** `null` when no Workload API is served. */
  readonly workloadSocket: WorkloadSocketSettings | null;
}

/**
 * The command line over the file over the defaults.
 * @param file Of `--config`, `null` for none.
 * @throws {MezError} `INVALID_ARGUMENT`, `INVALID_DOCUMENT`, `CONFIG_INVALID`, `INVALID_DURATION`
 */
export async function readIdentitySettings(
  input: IdentityInput,
  file: string | null,
  env: Readonly<Record<string, string | undefined>>,
): Promise<IdentitySettings> {
  const written = file === null ? {} : await readSettingsFile(file);
  const authServers = input.authServer ?? [written["auth-server"] ?? []].flat();
  const destination = input.destinationDir ?? written["destination-dir"];
  if (authServers.length === 0) throw missing("--auth-server=<host:port>");
  if (destination === undefined) throw missing("--destination-dir=<folder>");
  for (const address of authServers) parseHostPort(address);
  const certTtlSeconds = input.certTtl ?? parseDuration(written["cert-ttl"] ?? "1h");
  const renewalIntervalSeconds = input.renewalInterval ?? parseDuration(written["renewal-interval"] ?? "20m");
  const oneShot = input.oneShot || written["one-shot"] === true;
  if (!oneShot && renewalIntervalSeconds >= certTtlSeconds)
    throw new MezError(
      "INVALID_ARGUMENT",
      `--renewal-interval of ${formatDuration(renewalIntervalSeconds)} must be shorter than --cert-ttl of ${formatDuration(certTtlSeconds)}`,
    );
  const proxies = input.proxy ?? [written.proxy ?? []].flat();
  const socket = input.workloadSocket ?? written["workload-socket"];
  const mode = input.workloadSocketMode ?? written["workload-socket-mode"];
  if (socket !== undefined && oneShot)
    throw new MezError(
      "INVALID_ARGUMENT",
      "--workload-socket and --one-shot do not go together: programs are served while it runs",
    );
  if (socket === undefined && mode !== undefined)
    throw new MezError("INVALID_ARGUMENT", "--workload-socket-mode is given without --workload-socket");
  return {
    authServers,
    token: readToken(input, written, env),
    destination: resolve(destination),
    certTtlSeconds,
    renewalIntervalSeconds,
    oneShot,
    sshProxies: proxies.map(parseSshProxy),
    group: input.groupReadable ?? written["group-readable"] ?? null,
    healthAddress: input.healthAddr ?? written["health-addr"] ?? null,
    workloadSocket: socket === undefined ? null : { path: parseSocketPath(socket), mode: parseMode(mode ?? "0666") },
  };
}

// --- internal ---

interface SettingsFile {
  readonly "auth-server"?: string | readonly string[];
  readonly token?: string;
  readonly "token-file"?: string;
  readonly "destination-dir"?: string;
  readonly "cert-ttl"?: string;
  readonly "renewal-interval"?: string;
  readonly "one-shot"?: boolean;
  readonly proxy?: string | readonly string[];
  readonly "group-readable"?: string;
  readonly "health-addr"?: string;
  readonly "workload-socket"?: string;
  readonly "workload-socket-mode"?: string;
}

const MAX_SOCKET_PATH_BYTES = 107; // unix(7), sun_path
const TEXT = { type: "string", minLength: 1 } as const;
const ADDRESSES = {
  anyOf: [TEXT, { type: "array", minItems: 1, items: TEXT }],
  description: "Write host:port, or a list of them.",
} as const;
const SCHEMA = {
  type: "object",
  additionalProperties: false,
  properties: {
    "auth-server": ADDRESSES,
    token: TEXT,
    "token-file": TEXT,
    "destination-dir": TEXT,
    "cert-ttl": TEXT,
    "renewal-interval": TEXT,
    "one-shot": { type: "boolean" },
    proxy: ADDRESSES,
    "group-readable": TEXT,
    "health-addr": TEXT,
    "workload-socket": TEXT,
    "workload-socket-mode": { type: "string", description: 'Write it in quotes, e.g. "0660".' },
  },
} as const;

async function readSettingsFile(file: string): Promise<SettingsFile> {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw new MezError("CONFIG_INVALID", `cannot read config file ${file}: ${systemReason(cause)}`, { cause });
  }
  return parseCheckedYaml<SettingsFile>(text, { file, schema: SCHEMA, what: "configuration" });
}

/** A token of the command line or its variable goes before one of the file. */
function readToken(
  input: IdentityInput,
  written: SettingsFile,
  env: Readonly<Record<string, string | undefined>>,
): Secret | null {
  if (input.token !== undefined && input.tokenFile !== undefined)
    throw new MezError("INVALID_ARGUMENT", "--token and --token-file are both given; use one");
  if (input.token !== undefined) return input.token;
  if (input.tokenFile !== undefined) return readSecretReference(`file:${input.tokenFile}`, "--token-file", env);
  if (written.token !== undefined) return readSecretReference(written.token, "token", env);
  return written["token-file"] === undefined ? null : readSecretReference(`file:${written["token-file"]}`, "token-file", env);
}

/** As `SPIFFE_ENDPOINT_SOCKET` is written, or the path alone. */
function parseSocketPath(text: string): string {
  const path = /^(?:unix:(?:\/\/)?)?(\/[^/].*[^/])$/.exec(text)?.[1];
  if (path === undefined)
    throw new MezError(
      "INVALID_ARGUMENT",
      `--workload-socket ${text} is not the absolute path of a socket; write /run/mezite/workload.sock`,
    );
  const bytes = Buffer.byteLength(path);
  if (bytes > MAX_SOCKET_PATH_BYTES)
    throw new MezError(
      "INVALID_ARGUMENT",
      `--workload-socket has ${bytes} bytes; a socket's path has ${MAX_SOCKET_PATH_BYTES} at most`,
    );
  return resolve(path);
}

function parseMode(text: string): number {
  if (!/^0?[0-7]{3}$/.test(text))
    throw new MezError("INVALID_ARGUMENT", `--workload-socket-mode ${text} is not a mode like 0666 or 0660`);
  return Number.parseInt(text, 8);
}

function missing(flag: string): MezError {
  return new MezError("INVALID_ARGUMENT", `${flag} is missing`);
}
