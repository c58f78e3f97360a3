import { isIPv4, isIPv6 } from "node:net";

/** The 4 or 16 bytes of an IP address in text form, `null` when it is none. A zone (`%eth0`) is refused. */
export function ipAddressBytes(text: string): Buffer | null {
  if (isIPv4(text)) return Buffer.from(text.split(".").map(Number));
  if (!isIPv6(text) || text.includes("%")) return null;
  // URL writes every form in one way, with an embedded IPv4 address in hexadecimal.
  const canonical = new URL(`http://[${text}]/`).hostname.slice(1, -1);
  const [left = "", right] = canonical.split("::");
  const head = groupsOf(left);
  const tail = groupsOf(right ?? "");
  const groups = [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail];
  return Buffer.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

// --- internal ---

function groupsOf(text: string): readonly number[] {
  return text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
}
