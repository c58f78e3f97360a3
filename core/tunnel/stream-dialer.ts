import { connect as connectTcp, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls, type SecureContext, type TLSSocket } from "node:tls";
import { MezError } from "../errors/error.js";
import { STREAM_ALPN, TUNNEL_ALPN } from "./tunnel-protocol.js";
import { tunnelStream } from "./tunnel-stream.js";

export interface StreamDialerOptions {
  /** `host:port`; an IPv6 address in brackets. */
  readonly address: string;
  readonly secureContext: SecureContext;
  /** DNS name that the proxy's certificate must carry. */
  readonly serverName: string;
  readonly handshakeSeconds: number;
}

/** Begins a TLS connection to the proxy; the caller waits for `secureConnect` and listens for `error`. */
export function dialTls(options: StreamDialerOptions, alpn: string): { socket: TLSSocket; tcp: Socket } {
  const tcp = connectTcp({ ...parseAddress(options.address), noDelay: true, allowHalfOpen: alpn !== TUNNEL_ALPN });
  const { secureContext, serverName: servername } = options;
  const socket = connectTls({ socket: tcp, secureContext, servername, ALPNProtocols: [alpn] });
  tcp.on("error", (error) => socket.destroy(error));
  return { socket, tcp };
}

/**
 * Dials the connection that the proxy asked for with `key`.
 * @throws {MezError} `UNAVAILABLE`
 */
export function dialStream(key: Buffer, options: StreamDialerOptions): Promise<Duplex> {
  const { socket, tcp } = dialTls(options, STREAM_ALPN);
  return new Promise((resolve, reject) => {
    const fail = (cause?: Error) => {
      clearTimeout(timer);
      socket.destroy();
      reject(new MezError("UNAVAILABLE", `cannot bring a stream to ${options.address}`, { cause }));
    };
    const timer = setTimeout(fail, options.handshakeSeconds * 1000);
    socket.on("error", fail);
    socket.once("close", () => fail());
    socket.once("secureConnect", () => {
      clearTimeout(timer);
      if (socket.alpnProtocol !== STREAM_ALPN) return fail();
      socket.write(key);
      resolve(tunnelStream(socket, tcp));
    });
  });
}

/** Takes `host:port` apart; an IPv6 address stands in brackets. @throws {MezError} `INVALID_ARGUMENT` */
export function parseAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(address);
  if (match === null)
    throw new MezError("INVALID_ARGUMENT", `address "${address}" is not valid; write it like proxy.example.com:3024`);
  return { host: (match[1] ?? match[2]) as string, port: Number(match[3]) };
}
