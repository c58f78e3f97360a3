import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { isIPv6 } from "node:net";
import { MezError, messageOf } from "../../../core/errors/error.js";
import type { SyslogTransport } from "./syslog-forwarder.js";

/** A datagram for each message. Nobody learns whether it arrives. @see RFC 5426 */
export class UdpTransport implements SyslogTransport {
  readonly isLocal = false;
  readonly maxBytes = 8 * 1024;

  constructor(
    private readonly host: string,
    private readonly port: number,
  ) {}

  async send(messages: readonly Buffer[], signal: AbortSignal): Promise<void> {
    try {
      const { address } = await lookup(this.host);
      const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
      try {
        for (const message of messages) {
          signal.throwIfAborted();
          const { promise, resolve, reject } = Promise.withResolvers<void>();
          socket.once("error", reject);
          socket.send(message, this.port, address, (error) => (error === null ? resolve() : reject(error)));
          await promise;
          socket.off("error", reject);
        }
      } finally {
        socket.close();
      }
    } catch (error) {
      throw new MezError("UNAVAILABLE", `syslog at ${this.host}:${this.port} cannot be reached: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  close(): void {
    // Each call has a socket of its own.
  }
}
