import { MezError } from "../errors/error.js";
import { parseHostPort } from "./address.js";

/**
 * Reads the addresses of servers that do the same, with commas between them, in the order in which they are tried.
 * @param defaultPort For those that are written without one.
 * @returns Each as `host:port`, none twice; at least one.
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function parseAddressList(text: string, defaultPort: number): readonly string[] {
  const items = text.split(",").map((each) => each.trim());
  if (items.length > 1 && items.includes(""))
    throw new MezError("INVALID_ARGUMENT", `"${text.slice(0, 80)}" has an empty item; write addresses like a:3025,b:3025`);
  const addresses = [...new Set(items.map((each) => fullAddress(each, defaultPort)))];
  if (addresses.length > MAX_ADDRESSES)
    throw new MezError("INVALID_ARGUMENT", `${addresses.length} addresses are given; ${MAX_ADDRESSES} is the most`);
  return addresses;
}

/** The address with its port. @throws {MezError} `INVALID_ARGUMENT` */
export function fullAddress(address: string, defaultPort: number): string {
  const { host, port } = parseHostPort(address, defaultPort);
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

// --- internal ---

/** Each may cost seconds when it does not answer. */
const MAX_ADDRESSES = 16;
