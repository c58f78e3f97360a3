import { MezError } from "../../../core/errors/error.js";

/** Where syslog listens. */
export type SyslogAddress =
  | { readonly protocol: "unix"; readonly path: string }
  | { readonly protocol: "udp" | "tcp" | "tls"; readonly host: string; readonly port: number };

/**
 * Reads `unix:/dev/log`, `udp://host:port`, `tcp://host:port` or `tls://host:port`.
 * @throws {MezError} `CONFIG_INVALID`
 */
export function parseSyslogAddress(key: string, text: string): SyslogAddress {
  const path = /^unix:(\/.+)$/.exec(text)?.[1];
  if (path !== undefined) return { protocol: "unix", path };
  const match = /^(udp|tcp|tls):\/\/(?:\[([0-9a-fA-F:]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(text);
  const [, protocol, ipv6, host = ipv6, port] = match ?? [];
  const number = port === undefined ? DEFAULT_PORTS[protocol ?? ""] : Number(port);
  if (host === undefined || number === undefined || number < 1 || number > 65_535)
    throw new MezError(
      "CONFIG_INVALID",
      `${key}: "${text.slice(0, 100)}" is no address of syslog; write it like unix:/dev/log, udp://host:514, tcp://host:514 or tls://host:6514`,
    );
  return { protocol: protocol as "udp" | "tcp" | "tls", host, port: number };
}

// --- internal ---

const DEFAULT_PORTS: Readonly<Record<string, number>> = { udp: 514, tcp: 514, tls: 6514 }; // RFC 5426, 6587, 5425
