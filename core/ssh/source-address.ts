import { BlockList, isIP } from "node:net";
import { MezError } from "../errors/error.js";

/**
 * Tells whether `address` is covered by a `source-address` option: addresses and CIDR blocks, separated by commas.
 * IPv4 inside IPv6 (`::ffff:192.0.2.1`) counts as IPv4.
 * @throws {MezError} `SSH_MALFORMED` when the list itself is not valid, so that a typing error never opens a door
 * @see OpenSSH PROTOCOL.certkeys, "critical options"
 */
export function matchesSourceAddress(list: string, address: string): boolean {
  const allowed = parseSourceAddresses(list);
  const plain = address.startsWith("::ffff:") && isIP(address.slice(7)) === 4 ? address.slice(7) : address;
  const family = isIP(plain);
  return family !== 0 && allowed.check(plain, family === 6 ? "ipv6" : "ipv4");
}

/** Reads the list. @throws {MezError} `SSH_MALFORMED` */
export function parseSourceAddresses(list: string): BlockList {
  const allowed = new BlockList();
  for (const entry of list.split(",")) {
    const match = /^([0-9a-fA-F:.]+)(?:\/(\d{1,3}))?$/.exec(entry);
    const [, address = "", prefix] = match ?? [];
    const family = isIP(address);
    const bits = family === 6 ? 128 : 32;
    if (family === 0 || Number(prefix ?? 0) > bits) {
      throw new MezError(
        "SSH_MALFORMED",
        `source address "${entry.slice(0, 60)}" is not valid; write addresses or blocks like 192.0.2.0/24`,
      );
    }
    allowed.addSubnet(address, Number(prefix ?? bits), family === 6 ? "ipv6" : "ipv4");
  }
  return allowed;
}
