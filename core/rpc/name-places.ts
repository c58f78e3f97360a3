import { promises as dns } from "node:dns";
import { isIP } from "node:net";
import { parseHostPort } from "./address.js";

/**
 * Where the servers are that one name stands for, in the order of the system's resolver, from number `first` on and round about.
 * @param address `host:port`
 * @returns `host:port` with an IP address each; empty unless there are several.
 */
export async function placesOf(address: string, first: number): Promise<readonly string[]> {
  const { host, port } = parseHostPort(address);
  if (isIP(host) !== 0) return [];
  const found = await dns.lookup(host, { all: true }).catch(() => []);
  const places = [...new Set(found.map((each) => (each.family === 6 ? `[${each.address}]:${port}` : `${each.address}:${port}`)))];
  if (places.length < 2) return [];
  const begin = first % places.length;
  return [...places.slice(begin), ...places.slice(0, begin)];
}
