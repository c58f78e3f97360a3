import { join } from "node:path";
import { PACKAGE_ROOT } from "../../core/cli/release.js";
import { MezError } from "../../core/errors/error.js";
import { parseHostPort } from "../../core/rpc/address.js";
import type { Profile } from "./profile.js";
import { proxyHostName } from "./proxy-host-name.js";

/** Files that the configuration points at; absolute paths. */
export interface IdentityFiles {
  readonly identity: string;
  readonly certificate: string;
  readonly knownHosts: string;
  /** Of the login, by which msh reaches nodes for ssh; `null` to leave that to ssh alone. */
  readonly folder: string | null;
}

/**
 * Writes an OpenSSH client configuration: one host for the proxy, and every node reached through it. `msh __connect` has the
 * proxy join ssh and node; without msh, ssh jumps. Of several proxies it then takes the first that answers `msh __answers`,
 * and the last when msh is not there to ask.
 * @param agentSocket Of the agent that holds key and certificate, in place of files.
 * @throws {MezError} `INVALID_DOCUMENT` for a proxy that would be read as something else
 * @param scope `everything` for `ssh -F`; `cluster` speaks of `*.<cluster>` only, to be included by a person's own file.
 * @see ssh_config(5)
 */
export function formatSshConfig(
  profile: Profile,
  files: IdentityFiles,
  scope: "everything" | "cluster",
  agentSocket: string | null = null,
): string {
  const addresses = profile.proxies.map(checkedProxy);
  const [last, ...earlier] = [addresses.at(-1) as ProxyAddress, ...(mayRun(MSH) ? addresses.slice(0, -1) : [])];
  const proxy = proxyHostName(profile.cluster);
  const connect = connectCommand(files.folder, agentSocket);
  const nodes = scope === "everything" ? "*" : `*.${profile.cluster}`;
  return [
    `# Mezite cluster ${profile.cluster}, user ${profile.user}. Printed by "msh config".`,
    // Once a name is set, "host" matches no more, and nobody else is asked.
    ...earlier.flatMap(({ host, port }) => [
      `Match originalhost ${proxy} host ${proxy} exec "${word(MSH)} __answers ${addressOf(host, port)}"`,
      `  HostName ${host}`,
      `  Port ${port}`,
      "",
    ]),
    `Host ${proxy}`,
    `  HostName ${last.host}`,
    `  Port ${last.port}`,
    `  User ${quoted(profile.user)}`,
    "  ProxyJump none",
    "",
    // The name goes to a shell, between quotes. No node has one in its name.
    `Host ${nodes} !${proxy} "!*'*"`,
    ...(connect === null ? [`  ProxyJump ${proxy}`] : [`  ProxyCommand ${connect}`, "  ProxyUseFdpass yes"]),
    "",
    `Host ${scope === "everything" ? nodes : `${nodes} ${proxy}`}`,
    ...(agentSocket === null
      ? [`  IdentityFile ${path(files.identity)}`, `  CertificateFile ${path(files.certificate)}`, "  IdentitiesOnly yes"]
      : [`  IdentityAgent ${path(agentSocket)}`, "  IdentityFile none"]),
    "  PreferredAuthentications publickey,keyboard-interactive",
    `  UserKnownHostsFile ${path(files.knownHosts)}`,
    "  GlobalKnownHostsFile /dev/null",
    "  StrictHostKeyChecking yes",
    "  UpdateHostKeys no",
    "  CheckHostIP no",
    "  Ciphers ^aes128-gcm@openssh.com,aes256-gcm@openssh.com", // a third of the processor time of OpenSSH's own first choice
    ...(scope === "everything" ? [] : ["", "Match all"]),
    "",
  ].join("\n");
}

// --- internal ---

/** A server tells it, and OpenSSH reads what it wants in most other characters. */
const HOST = /^[A-Za-z0-9:][A-Za-z0-9._:-]*$/;

const MSH = join(PACKAGE_ROOT, "cli/bin/msh");

interface ProxyAddress {
  readonly host: string;
  readonly port: number;
}

function checkedProxy(address: string): ProxyAddress {
  const { host, port } = parseHostPort(address);
  if (!HOST.test(host)) throw new MezError("INVALID_DOCUMENT", "the server names a proxy whose host name is not valid");
  return { host, port };
}

/** @returns `null` when that cannot be written as a command. */
function connectCommand(folder: string | null, agentSocket: string | null): string | null {
  if (folder === null || ![MSH, folder, agentSocket ?? ""].every(mayRun)) return null;
  return [word(MSH), "__connect", word(folder), "'%h'", "%p", ...(agentSocket === null ? [] : [word(agentSocket)])].join(" ");
}

/** Whether a path can stand between quotes of the shell between quotes of ssh. */
function mayRun(file: string): boolean {
  return !/["'\\\p{Cc}]/u.test(file);
}

function addressOf(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** In these values `%` begins a token. */
function path(file: string): string {
  return quoted(file.replaceAll("%", "%%"));
}

/** The same for a shell. */
function word(file: string): string {
  return `'${file.replaceAll("%", "%%")}'`;
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}
