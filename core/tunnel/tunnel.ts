import type { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, constants } from "node:http2";
import type { Duplex } from "node:stream";
import { MezError } from "../errors/error.js";
import type { ProcessRole } from "../plugin/contract.js";
import { sayGoodbye } from "./goodbye.js";
import { streamRequestHeaders, type TunnelStreamInfo } from "./stream-headers.js";
import { socketLike, tunnelLost } from "./tunnel-stream.js";

/** Who a tunnel belongs to, as the proxy's `authorize` read it from the certificate. */
export interface TunnelPeer {
  readonly nodeName: string;
  readonly role: ProcessRole;
}

const OPEN_SECONDS = 10;

/** The proxy's end of one tunnel: HTTP/2's client, on a connection that the agent dialled. */
export class Tunnel {
  readonly #session: ClientHttp2Session;
  #streamCount = 0;

  constructor(
    session: ClientHttp2Session,
    readonly peer: TunnelPeer,
    /** The agent's leaf certificate, checked against the Host CA. */
    readonly certificate: X509Certificate,
    /** IP address that the agent dialled from. */
    readonly address: string,
    readonly connectedAt: Date,
  ) {
    this.#session = session;
  }

  /** False once the agent drains or the connection is gone. */
  get isOpen(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  /** Streams under way. */
  get streamCount(): number {
    return this.#streamCount;
  }

  /**
   * Opens a stream to the node; resolves when the agent has accepted it.
   * @throws {MezError} `NODE_OFFLINE` when the agent drains or does not answer in 10 s; `TUNNEL_LOST` when the tunnel
   *   breaks meanwhile; `INVALID_ARGUMENT` when the agent refuses the headers.
   */
  async open(info: TunnelStreamInfo, signal?: AbortSignal): Promise<Duplex> {
    if (!this.isOpen) throw nodeOffline(info.nodeName);
    const stream = this.#session.request(streamRequestHeaders(info), { endStream: false });
    this.#streamCount += 1;
    stream.once("close", () => {
      this.#streamCount -= 1;
    });
    const duplex = socketLike(stream);
    const limit = AbortSignal.timeout(OPEN_SECONDS * 1000);
    try {
      await answered(stream, signal === undefined ? limit : AbortSignal.any([signal, limit]));
      return duplex;
    } catch (error) {
      duplex.destroy();
      if (limit.aborted) throw nodeOffline(info.nodeName, error);
      throw error;
    }
  }

  /** Ends the tunnel and every stream in it at once; the agent logs `reason` and dials again. */
  close(reason: string): void {
    sayGoodbye(this.#session, reason);
  }

  /** Calls `listener` when the tunnel is gone, streams and all; at once when it already is. */
  onClosed(listener: () => void): void {
    if (this.#session.destroyed) queueMicrotask(listener);
    else this.#session.once("close", listener);
  }
}

/** The error for a node that no tunnel leads to. */
export function nodeOffline(nodeName: string, cause?: unknown): MezError {
  return new MezError("NODE_OFFLINE", `node "${nodeName}" is offline`, { cause, fields: { node: nodeName } });
}

// --- internal ---

async function answered(stream: ClientHttp2Stream, signal: AbortSignal): Promise<void> {
  const closed = new AbortController();
  const onClose = () => closed.abort();
  stream.once("close", onClose);
  try {
    const [headers] = await once(stream, "response", { signal: AbortSignal.any([signal, closed.signal]) });
    const status: unknown = headers[constants.HTTP2_HEADER_STATUS];
    if (status === 200) return;
    if (status === 503) throw nodeOffline("that was asked for");
    throw new MezError("INVALID_ARGUMENT", `the node refused the connection with status ${String(status)}`);
  } catch (error) {
    if (closed.signal.aborted && !signal.aborted && !(error instanceof MezError)) throw tunnelLost(error);
    throw error;
  } finally {
    stream.off("close", onClose);
  }
}
