import { parseHostPort } from "../../core/rpc/address.js";
import { fullAddress, parseAddressList } from "../../core/rpc/address-list.js";
import { authServersIn } from "../cluster-connection.js";

const DEFAULT_PROXY_PORT = 3023;
const DEFAULT_AUTH_PORT = 3025;
/** Where a proxy serves everything on one port. */
const PUBLIC_PORT = 443;
const DEFAULT_AUTH_SERVERS = ["localhost:3025"];

/** Addresses of SSH proxies as they are written in flags and variables: port 3023 when none is given. */
export function proxiesIn(text: string): readonly string[] {
  return parseAddressList(text, DEFAULT_PROXY_PORT);
}

/** Where to log in: as asked, else beside the proxies that were asked for, else as before, else on this machine. */
export function authServersFor(
  authServers: string | undefined,
  proxies: string | undefined,
  before: readonly string[] | undefined,
): readonly string[] {
  if (authServers !== undefined) return authServersIn(authServers);
  if (proxies !== undefined) return beside(proxiesIn(proxies), DEFAULT_AUTH_PORT);
  return before ?? DEFAULT_AUTH_SERVERS;
}

/** Where the SSH proxies are: as asked, else as the cluster says, else beside the auth servers. */
export function proxiesFor(asked: string | undefined, told: string, authServers: readonly string[]): readonly string[] {
  if (asked !== undefined) return proxiesIn(asked);
  if (told !== "") return proxiesIn(told);
  return beside(authServers, DEFAULT_PROXY_PORT);
}

// --- internal ---

/** The same machines, at the port of another service, unless one port serves everything. */
function beside(addresses: readonly string[], port: number): readonly string[] {
  const others = addresses.map((address) => {
    const { host, port: here } = parseHostPort(address);
    return here === PUBLIC_PORT ? address : fullAddress(host.includes(":") ? `[${host}]` : host, port);
  });
  return [...new Set(others)];
}
