import { MezError } from "../../core/errors/error.js";
import { parseHostPort } from "../../core/rpc/address.js";

/** Where the SSH server of a proxy is. */
export interface SshProxyAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * @param text `host:port`, or the host alone.
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function parseSshProxy(text: string): SshProxyAddress {
  const address = parseHostPort(text, SSH_PORT);
  // OpenSSH reads what it wants in most other characters.
  if (!/^[A-Za-z0-9:][A-Za-z0-9._:-]*$/.test(address.host))
    throw new MezError("INVALID_ARGUMENT", `--proxy ${text} is not valid; write proxy.example.com:${SSH_PORT}`);
  return address;
}

/**
 * A client configuration that reaches every node through a proxy, the first that answers `ssh-keyscan` or else the last, for
 * `ssh -F` or to be included. Key and certificate are those of one set: ssh reads the certificate when it starts and the key
 * when it signs, and with names that a renewal changes it could come to a key of the next set.
 * @param set Absolute path of the folder of one set.
 * @param knownHosts Absolute path.
 * @see ssh_config(5)
 */
export function formatOpensshConfig(proxies: readonly SshProxyAddress[], set: string, knownHosts: string): string {
  const { host, port } = proxies.at(-1) as SshProxyAddress;
  return [
    "# Written by mezd identity, anew at each renewal.",
    // OpenSSH has no list of hosts to try. Once a name is set, "host" matches no more, and nobody else is asked.
    ...proxies
      .slice(0, -1)
      .flatMap((earlier) => [
        `Match originalhost ${JUMP_HOST} host ${JUMP_HOST} exec "${answers(earlier)}"`,
        `  HostName ${earlier.host}`,
        `  Port ${earlier.port}`,
        "",
      ]),
    `Host ${JUMP_HOST}`,
    `  HostName ${host}`,
    `  Port ${port}`,
    "  ProxyJump none",
    "",
    `Host * !${JUMP_HOST}`,
    `  ProxyJump ${JUMP_HOST}`,
    "",
    "Host *",
    `  IdentityFile ${path(`${set}/ssh_key`)}`,
    `  CertificateFile ${path(`${set}/ssh_cert`)}`,
    "  IdentitiesOnly yes",
    `  UserKnownHostsFile ${path(knownHosts)}`,
    "  GlobalKnownHostsFile /dev/null",
    "  StrictHostKeyChecking yes",
    "  UpdateHostKeys no",
    "  CheckHostIP no",
    "",
  ].join("\n");
}

// --- internal ---

const SSH_PORT = 3023;
const JUMP_HOST = "mezite-proxy";

/** A command for ssh's shell that fails when no SSH server is there within three seconds; part of OpenSSH, as ssh is. */
function answers({ host, port }: SshProxyAddress): string {
  return `ssh-keyscan -T 3 -p ${port} ${host} >/dev/null 2>&1`;
}

/** In these values `%` begins a token. */
function path(file: string): string {
  return `"${file.replaceAll("%", "%%").replace(/["\\]/g, "\\$&")}"`;
}
