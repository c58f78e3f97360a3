import type { X509Certificate } from "node:crypto";
import { type ClientHttp2Session, constants, type IncomingHttpHeaders } from "node:http2";
import type { Duplex } from "node:stream";
import { MezError } from "../errors/error.js";
import type { ProcessRole } from "../plugin/contract.js";
import { sayGoodbye } from "./goodbye.js";
import type { ExpectedStream, Rendezvous } from "./rendezvous.js";
import { type SessionEnd, sessionEndHeaders } from "./session-end.js";
import { streamRequestHeaders, type TunnelStreamInfo } from "./stream-headers.js";
import type { SessionEncryption } from "./tunnel-protocol.js";

/** Who a tunnel belongs to, as the proxy's `authorize` read it from the certificate. */
export interface TunnelPeer {
  readonly nodeName: string;
  readonly role: ProcessRole;
}

const OPEN_SECONDS = 10;

/** The proxy's end of one tunnel: HTTP/2's client, on a connection that the agent dialled. */
export class Tunnel {
  readonly #session: ClientHttp2Session;
  readonly #rendezvous: Rendezvous;

  constructor(
    session: ClientHttp2Session,
    rendezvous: Rendezvous,
    readonly peer: TunnelPeer,
    /** The agent's leaf certificate, checked against the Host CA. */
    readonly certificate: X509Certificate,
    /** IP address that the agent dialled from. */
    readonly address: string,
    readonly connectedAt: Date,
  ) {
    this.#session = session;
    this.#rendezvous = rendezvous;
  }

  /** False once the agent drains or the connection is gone. */
  get isOpen(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  /**
   * Asks the agent for a stream; resolves when its connection has arrived.
   * @param encryption `ssh` when what it will carry is SSH, and may come without TLS if the agent likes that too.
   * @throws {MezError} `NODE_OFFLINE` when the agent drains or brings none in 10 s; `TUNNEL_LOST` when the tunnel
   *   breaks meanwhile; `INVALID_ARGUMENT` when the agent refuses the headers. The signal's reason when it aborts.
   */
  async open(info: TunnelStreamInfo, signal?: AbortSignal, encryption: SessionEncryption = "tls"): Promise<Duplex> {
    signal?.throwIfAborted();
    if (!this.isOpen) throw nodeOffline(info.nodeName);
    const expected = this.#rendezvous.expect(this.peer.nodeName, encryption);
    try {
      return await Promise.race([expected.arrived, this.#refused(info, expected, signal)]);
    } finally {
      expected.cancel();
    }
  }

  /** Has the agent end a session and say why. Nobody learns whether it did: an agent of an older release does not. */
  tellEnd(end: SessionEnd): void {
    if (!this.isOpen) return;
    const request = this.#session.request(sessionEndHeaders(end), { endStream: true });
    request.on("error", () => undefined).resume();
    request.setTimeout(OPEN_SECONDS * 1000, () => request.close(constants.NGHTTP2_CANCEL));
  }

  /** Ends the tunnel, not its streams; the agent logs `reason` and dials again. */
  close(reason: string): void {
    sayGoodbye(this.#session, reason);
  }

  /** Calls `listener` when the tunnel is gone; at once when it already is. */
  onClosed(listener: () => void): void {
    if (this.#session.destroyed) queueMicrotask(listener);
    else this.#session.once("close", listener);
  }

  /** Sends the request; rejects when it is plain that no stream will come, and never resolves. */
  #refused(info: TunnelStreamInfo, { key, secret }: ExpectedStream, signal: AbortSignal | undefined): Promise<never> {
    const request = this.#session.request(streamRequestHeaders(info, key, secret), { endStream: true });
    request.resume();
    return new Promise((_, reject) => {
      const abort = () => {
        request.close(constants.NGHTTP2_CANCEL);
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", abort, { once: true });
      request.setTimeout(OPEN_SECONDS * 1000, () => request.close(constants.NGHTTP2_CANCEL));
      request.once("error", (cause) => reject(new MezError("TUNNEL_LOST", "the tunnel to the node was lost", { cause })));
      request.once("response", (headers) => {
        const refusal = refusalOf(headers, info.nodeName);
        if (refusal !== null) reject(refusal);
      });
      request.once("close", () => {
        signal?.removeEventListener("abort", abort);
        if (request.rstCode !== constants.NGHTTP2_NO_ERROR || this.#session.destroyed) reject(nodeOffline(info.nodeName));
      });
    });
  }
}

/** The error for a node that no tunnel leads to. */
export function nodeOffline(nodeName: string, cause?: unknown): MezError {
  return new MezError("NODE_OFFLINE", `node "${nodeName}" is offline`, { cause, fields: { node: nodeName } });
}

// --- internal ---

/** `null` when the agent says that the stream is on its way: it answers after its connection stands. */
function refusalOf(headers: IncomingHttpHeaders & { ":status"?: number }, nodeName: string): MezError | null {
  const status = headers[":status"];
  if (status === 200) return null;
  if (status === 400) return new MezError("INVALID_ARGUMENT", `node "${nodeName}" refused the request for a stream`);
  return nodeOffline(nodeName);
}
