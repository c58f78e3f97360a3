import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { parseStaleAfter } from "../../core/plugin/stale-after.js";
import type { SessionEncryption } from "../../core/tunnel/tunnel-protocol.js";

/** Section `node` of the config file, after its schema. */
export interface NodeConfig {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly proxy_addrs: readonly string[];
  readonly accept_env: readonly string[];
  readonly sftp_server: string;
  readonly policy_stale_after: string;
  readonly session_encryption: SessionEncryption;
}

export interface NodeSettings {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** `host:port` of every proxy's tunnel listener. */
  readonly proxyAddresses: readonly string[];
  /** Names, or beginnings of names that end in `*`. */
  readonly acceptedVariables: readonly string[];
  /** `null` when this machine has none. */
  readonly sftpServer: string | null;
  readonly policyStaleSeconds: number;
  /** What keeps a session's bytes secret on their way from the proxy. */
  readonly sessionEncryption: SessionEncryption;
}

/**
 * Fills in what the config leaves open.
 * @param authAddresses `host:port` of the auth service, of which the first one's host is taken for the proxy.
 * @throws {MezError} `INVALID_DURATION`, `CONFIG_INVALID`
 */
export function nodeSettings(config: NodeConfig, authAddresses: readonly string[]): NodeSettings {
  return {
    name: config.name === "" ? hostname().toLowerCase() : config.name,
    labels: config.labels,
    proxyAddresses: config.proxy_addrs.length > 0 ? [...new Set(config.proxy_addrs)] : [tunnelAddress(authAddresses[0])],
    acceptedVariables: config.accept_env,
    sftpServer: config.sftp_server === "" ? (SFTP_SERVERS.find((path) => existsSync(path)) ?? null) : config.sftp_server,
    policyStaleSeconds: parseStaleAfter("node.policy_stale_after", config.policy_stale_after),
    sessionEncryption: config.session_encryption,
  };
}

// --- internal ---

const TUNNEL_PORT = 3024;
/** Where a proxy serves everything on one port. */
const PUBLIC_PORT = 443;
const SFTP_SERVERS = [
  "/usr/lib/openssh/sftp-server", // Debian, Ubuntu
  "/usr/libexec/openssh/sftp-server", // Fedora, RHEL
  "/usr/lib/ssh/sftp-server", // Alpine, Arch, SUSE
  "/usr/libexec/sftp-server", // BSD
];

function tunnelAddress(authAddress = "localhost:3025"): string {
  if (authAddress.endsWith(`:${PUBLIC_PORT}`)) return authAddress;
  return `${authAddress.replace(/:\d+$/, "")}:${TUNNEL_PORT}`;
}
