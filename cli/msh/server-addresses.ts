import { parseHostPort } from "../../core/rpc/address.js";
import { fullAddress } from "../cluster-connection.js";

const DEFAULT_PROXY_PORT = 3023;
/** Where a proxy serves everything on one port. */
const PUBLIC_PORT = 443;
const DEFAULT_AUTH_SERVER = "localhost:3025";

/** `host:port` of an SSH proxy; 3023 when no port is written. */
export function proxyAddress(text: string): string {
  const { host, port } = parseHostPort(text, DEFAULT_PROXY_PORT);
  return joined(host, port);
}

/** Where to log in: as asked, else beside the proxy that was asked for, else as before, else on this machine. */
export function authServerFor(authServer: string | undefined, proxy: string | undefined, before: string | undefined): string {
  if (authServer !== undefined) return fullAddress(authServer);
  if (proxy !== undefined) return fullAddress(isPublicPort(proxy) ? proxy : hostOf(proxy));
  return before ?? DEFAULT_AUTH_SERVER;
}

/** Where the SSH proxy is: as asked, else as the cluster says, else beside the auth service. */
export function proxyFor(asked: string | undefined, told: string, authServer: string): string {
  if (asked !== undefined) return proxyAddress(asked);
  if (told !== "") return proxyAddress(told);
  return proxyAddress(isPublicPort(authServer) ? authServer : hostOf(authServer));
}

// --- internal ---

function isPublicPort(address: string): boolean {
  return parseHostPort(address, DEFAULT_PROXY_PORT).port === PUBLIC_PORT;
}

function hostOf(address: string): string {
  const { host } = parseHostPort(address, DEFAULT_PROXY_PORT);
  return host.includes(":") ? `[${host}]` : host;
}

function joined(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
