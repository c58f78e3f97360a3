import { isIP } from "node:net";
import { MezError } from "../../core/errors/error.js";
import type { CollectionKind } from "../../core/plugin/collection.js";
import { fingerprintOf, parsePublicKey } from "../../core/ssh/public-key.js";
import type { Labels } from "./agent.js";
import type { NodeEntry } from "./api.js";

/** The record of a node without an agent: a machine whose own `sshd` trusts the User CA. JSON: times are ISO 8601. */
export interface OpenSshNode {
  /** UUID. */
  readonly id: string;
  /** Unique among the nodes of every kind. */
  readonly name: string;
  /** Host name or IP address, as proxies see it. */
  readonly host: string;
  readonly port: number;
  readonly labels: Labels;
  /** Wire form in base64. */
  readonly hostKey: string;
  readonly addedBy: string;
  readonly addedAt: string;
  /** When a session last got in; `null` before the first. */
  readonly lastAccessAt: string | null;
  /** Fingerprint of the User CA key under which it did. */
  readonly lastAuthority: string | null;
}

/** Every such node by name, for the auth service alone. */
export const OPENSSH_NODES: CollectionKind<OpenSshNode> = {
  name: "openssh-nodes",
  version: 1,
  visibleTo: () => false,
  keysOf: () => [],
};

/** What proxies know of it. */
export function openSshEntryOf({ id, name, host, port, labels, hostKey }: OpenSshNode): NodeEntry {
  return { id, name, kind: "openssh", hostname: host, labels, openSsh: { host, port, hostKey } };
}

/** `host:port`, with brackets around IPv6. */
export function endpointOf({ host, port }: Pick<OpenSshNode, "host" | "port">): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

/** `SHA256:…`, as `ssh-keygen -l` shows it. */
export function hostKeyFingerprint({ hostKey }: Pick<OpenSshNode, "hostKey">): string {
  return fingerprintOf(Buffer.from(hostKey, "base64"));
}

/** @throws {MezError} `INVALID_ARGUMENT` */
export function parseHost(host: string): string {
  const lower = host.toLowerCase();
  if (isIP(lower) !== 0 || /^[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?$/.test(lower)) return lower;
  throw new MezError(
    "INVALID_ARGUMENT",
    `host "${host.slice(0, 80)}" is not valid; use a host name or an IP address, without a port`,
  );
}

/** @param port 0 for 22. @throws {MezError} `INVALID_ARGUMENT` */
export function parsePort(port: number): number {
  if (port === 0) return 22;
  if (Number.isInteger(port) && port > 0 && port <= 65_535) return port;
  throw new MezError("INVALID_ARGUMENT", `port ${port} is not valid; use 1 to 65535`);
}

/**
 * @param blob Wire form.
 * @returns The same in base64.
 * @throws {MezError} `INVALID_ARGUMENT`; `SSH_KEY_UNSUPPORTED` for a type or size that is not accepted
 */
export function parseHostKey(blob: Buffer): string {
  try {
    return parsePublicKey(blob).blob.toString("base64");
  } catch (cause) {
    if (cause instanceof MezError && cause.code === "SSH_KEY_UNSUPPORTED") throw cause;
    throw new MezError("INVALID_ARGUMENT", "the host key is not an SSH public key", { cause });
  }
}
