import { isIP, type Socket } from "node:net";
import { MezError } from "../errors/error.js";
import { plainAddress } from "./address.js";

/** ALPN name (RFC 7301) of a connection on which a proxy passes a client's connection on; an origin comes first, then the client's bytes. */
export const RELAY_ALPN = "mezite-relay";

/** What an auth server chooses instead while it can serve nobody, so that a proxy that knows another one goes on to that. */
export const BLIND_RELAY_ALPN = "mezite-relay-blind";

/** Where a relayed connection began. */
export interface Origin {
  readonly address: string;
  readonly port: number;
}

/**
 * Writes where `client` comes from, and what it reached.
 * @throws {MezError} `UNAVAILABLE` when it is gone.
 * @see the PROXY protocol of HAProxy, version 1
 */
export function originLine(client: Pick<Socket, "remoteAddress" | "remotePort" | "localAddress" | "localPort">): string {
  const [from, to] = [bareAddress(client.remoteAddress), bareAddress(client.localAddress)];
  const family = isIP(from);
  if (family === 0 || isIP(to) !== family || client.remotePort === undefined || client.localPort === undefined)
    throw new MezError("UNAVAILABLE", "the client is gone");
  return `PROXY TCP${family} ${from} ${to} ${client.remotePort} ${client.localPort}\r\n`;
}

/**
 * Takes the line of `originLine` off the beginning of a connection and leaves what follows it.
 * @throws {MezError} `INVALID_ARGUMENT` for anything else, and for a line that does not come in `timeoutMs`.
 */
export function takeOrigin(connection: Socket, timeoutMs: number): Promise<Origin> {
  let line = Buffer.alloc(0);
  return new Promise((resolve, reject) => {
    const finish = (origin: Origin | null): void => {
      clearTimeout(timer);
      connection.off("readable", read).off("close", fail).off("end", fail);
      if (origin === null) reject(new MezError("INVALID_ARGUMENT", "a relayed connection begins with a PROXY line"));
      else resolve(origin);
    };
    const fail = (): void => finish(null);
    const read = (): void => {
      for (let chunk: Buffer | null = connection.read(); chunk !== null; chunk = connection.read()) {
        line = Buffer.concat([line, chunk]);
        const end = line.indexOf("\r\n");
        if (end === -1 && line.length < MAX_LINE_BYTES) continue;
        const origin = end === -1 ? null : parseOrigin(line.toString("latin1", 0, end));
        if (origin !== null && line.length > end + 2) connection.unshift(line.subarray(end + 2));
        return finish(origin);
      }
    };
    const timer = setTimeout(fail, timeoutMs);
    connection.on("readable", read).once("close", fail).once("end", fail);
  });
}

/** Reads the line without its end; `null` when it is not one. */
export function parseOrigin(line: string): Origin | null {
  const [, family, from = "", to = "", fromPort, toPort] =
    /^PROXY TCP([46]) (\S{2,45}) (\S{2,45}) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})$/.exec(line) ?? [];
  const isValid = family !== undefined && [from, to].every((address) => isIP(address) === Number(family));
  return isValid && Number(fromPort) <= 65_535 && Number(toPort) <= 65_535 ? { address: from, port: Number(fromPort) } : null;
}

// --- internal ---

const MAX_LINE_BYTES = 107; // PROXY protocol, 2.1, with its end

/** Without the zone of a link-local address. */
function bareAddress(address = ""): string {
  return plainAddress(address).replace(/%.*$/, "");
}
