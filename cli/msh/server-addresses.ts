import { parseHostPort } from "../../core/rpc/address.js";
import { fullAddress } from "../cluster-connection.js";

const DEFAULT_PROXY_PORT = 3023;
const DEFAULT_AUTH_SERVER = "localhost:3025";

/** `host:port` of an SSH proxy; 3023 when no port is written. */
export function proxyAddress(text: string): string {
  const { host, port } = parseHostPort(text, DEFAULT_PROXY_PORT);
  return joined(host, port);
}

/** Where to log in: as asked, else beside the proxy that was asked for, else as before, else on this machine. */
export function authServerFor(authServer: string | undefined, proxy: string | undefined, before: string | undefined): string {
  if (authServer !== undefined) return fullAddress(authServer);
  if (proxy !== undefined) return fullAddress(hostOf(proxy));
  return before ?? DEFAULT_AUTH_SERVER;
}

/** Where the SSH proxy is: as asked, else as the cluster says, else beside the auth service. */
export function proxyFor(asked: string | undefined, told: string, authServer: string): string {
  if (asked !== undefined) return proxyAddress(asked);
  return told === "" ? proxyAddress(hostOf(authServer)) : proxyAddress(told);
}

// --- internal ---

function hostOf(address: string): string {
  const { host } = parseHostPort(address, DEFAULT_PROXY_PORT);
  return host.includes(":") ? `[${host}]` : host;
}

function joined(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
