import { isIPv6 } from "node:net";
import { MezError } from "../errors/error.js";

/**
 * Reads `host:port`, `[v6]:port` or `:port` (all interfaces).
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function parseHostPort(text: string, defaultPort?: number): { readonly host: string; readonly port: number } {
  const found = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/[\]]*))(?::(\d{1,5}))?$/.exec(text);
  const port = found?.[3] === undefined ? defaultPort : Number(found[3]);
  const host = found?.[1] ?? found?.[2];
  if (
    host === undefined ||
    port === undefined ||
    port > 65_535 ||
    host.length > MAX_HOST_LENGTH ||
    (found?.[1] !== undefined && !isIPv6(host))
  ) {
    throw new MezError(
      "INVALID_ARGUMENT",
      `address "${text.slice(0, 80)}" is not valid; write host:port, for example localhost:3025`,
    );
  }
  return { host: host === "" ? "::" : host, port };
}

const MAX_HOST_LENGTH = 253; // RFC 1035, 2.3.4, as text

/** Takes the IPv4 address out of `::ffff:192.0.2.7`. */
export function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice("::ffff:".length) : address;
}

/** Whether a host name or address is this machine's loopback. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(?:\.\d{1,3}){3}$/.test(host);
}
