import {
  type Http2Session,
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { TLSSocket } from "node:tls";
import { MezError, messageOf } from "../errors/error.js";
import { dialBareStream } from "./bare-stream.js";
import type { DialPatience } from "./dial-patience.js";
import { closesWhatEnds } from "./door-check.js";
import { readGoodbye } from "./goodbye.js";
import { watchHeartbeat } from "./heartbeat.js";
import { ENDS_PATH, parseSessionEnd, type SessionEnd } from "./session-end.js";
import { dialStream, dialTls, type StreamDialerOptions } from "./stream-dialer.js";
import { parseStreamHeaders, type TunnelStreamInfo } from "./stream-headers.js";
import * as protocol from "./tunnel-protocol.js";

export interface AgentLinkOptions extends StreamDialerOptions {
  readonly pingIntervalSeconds: number;
  /** For the proxy's greeting, once it has taken the connection and as long as it does not hang; else `handshakeSeconds` count. */
  readonly patience: DialPatience;
  /** `ssh`: streams come without TLS where the proxy allows it. */
  readonly sessionEncryption: protocol.SessionEncryption;
  readonly onStream: (stream: Duplex, info: TunnelStreamInfo) => void;
  /** Called when the proxy wants one of its sessions to end. */
  readonly onSessionEnd?: ((end: SessionEnd) => void) | undefined;
}

/** The agent's end of one tunnel: HTTP/2's server, on a connection that the agent dialled. */
export class AgentLink {
  readonly #session: ServerHttp2Session;
  #isDraining = false;
  #needsTls = false;
  #endReason: string | null = null;

  /** Resolves when the connection is gone, with the proxy's reason or our own; never rejects. */
  readonly ended: Promise<string>;

  /** Serves streams on a session that is already under way; `dial` makes one. */
  constructor(socket: TLSSocket, session: ServerHttp2Session, options: AgentLinkOptions) {
    this.#session = session;
    session.on("error", (error) => this.#endsBecause(messageOf(error)));
    session.on("goaway", (_code, _lastStream, data) => this.#endsBecause(readGoodbye(data) ?? "the proxy closed the tunnel"));
    session.on("stream", (stream, headers) => this.#receive(stream, headers, options));
    watchHeartbeat(session, options.pingIntervalSeconds, () => {
      this.#endsBecause("the proxy does not answer pings");
      session.destroy();
    });
    this.ended = new Promise((resolve) => {
      session.once("close", () => {
        socket.destroy();
        resolve(this.#endReason ?? "the connection was closed");
      });
    });
  }

  /**
   * Dials the proxy; resolves when it has greeted.
   * @throws {MezError} `UNAVAILABLE` when it cannot be reached, is not the proxy, or refuses us.
   */
  static async dial(options: AgentLinkOptions, signal: AbortSignal): Promise<AgentLink> {
    const { socket, tcp } = dialTls(options, protocol.TUNNEL_ALPN);
    const { patience, handshakeSeconds } = options;
    const late = new AbortController();
    const over = new AbortController();
    const giveUp = (reason: string) => late.abort(new Error(reason));
    let isInLine = false;
    let limit = setTimeout(giveUp, handshakeSeconds * 1000, `no connection within ${handshakeSeconds} s`);
    tcp.once("connect", () => {
      const { seconds } = patience;
      isInLine = true;
      clearTimeout(limit);
      limit = setTimeout(giveUp, seconds * 1000, `no answer within ${seconds} s`);
      void whenItHangs(options, over.signal).then((hangs) => {
        if (!hangs) return;
        isInLine = false;
        giveUp("it takes connections and does nothing with them");
      });
    });
    try {
      return await greeted(socket, options, AbortSignal.any([signal, late.signal]));
    } catch (cause) {
      socket.destroy();
      throw new MezError("UNAVAILABLE", `cannot open a tunnel to ${options.address}: ${messageOf(cause)}`, { cause });
    } finally {
      clearTimeout(limit);
      over.abort();
      if (late.signal.aborted && isInLine) patience.silent();
      else patience.heard();
    }
  }

  /** False once it drains or the connection is gone. */
  get isOpen(): boolean {
    return !this.#isDraining && !this.#session.closed && !this.#session.destroyed;
  }

  /** Takes no new streams and closes when the last one ends. */
  drain(): void {
    this.#isDraining = true;
    this.#endsBecause("drained");
    if (!this.#session.destroyed) this.#session.close();
  }

  /** Ends the connection and every stream. */
  destroy(): void {
    this.#endsBecause("closed");
    this.#session.destroy();
  }

  #endsBecause(reason: string): void {
    this.#endReason ??= reason;
  }

  /** Where a network lets nothing but TLS through, it is TLS after one attempt. */
  async #dial({ key, secret }: ReturnType<typeof parseStreamHeaders>, options: AgentLinkOptions): Promise<Duplex> {
    if (secret === null || options.sessionEncryption === "tls" || this.#needsTls) return dialStream(key, options);
    const handshakeSeconds = Math.min(options.handshakeSeconds, BARE_HANDSHAKE_SECONDS);
    return dialBareStream({ key, secret }, { ...options, handshakeSeconds }).catch(async () => {
      const stream = await dialStream(key, options);
      this.#needsTls = true;
      return stream;
    });
  }

  #receive(request: ServerHttp2Stream, headers: IncomingHttpHeaders, options: AgentLinkOptions): void {
    const answer = (status: number) => {
      if (!request.destroyed && !request.closed) request.respond({ ":status": status }, { endStream: true });
    };
    request.on("error", () => {});
    request.resume();
    if (headers[":path"] === ENDS_PATH) return answer(endedStatus(headers, options));
    if (this.#isDraining) return answer(503);
    let asked: ReturnType<typeof parseStreamHeaders>;
    try {
      asked = parseStreamHeaders(headers);
    } catch {
      return answer(400);
    }
    this.#dial(asked, options).then(
      (stream) => {
        answer(200);
        options.onStream(stream, asked.info);
      },
      () => answer(502),
    );
  }
}

// --- internal ---

function endedStatus(headers: IncomingHttpHeaders, { onSessionEnd }: AgentLinkOptions): number {
  try {
    const end = parseSessionEnd(headers);
    onSessionEnd?.(end);
    return 200;
  } catch {
    return 400;
  }
}

/** Looks now and then whether the proxy that has taken our connection still does anything; `false` when it is over before that is known. */
async function whenItHangs({ address, handshakeSeconds }: AgentLinkOptions, over: AbortSignal): Promise<boolean> {
  const halfMs = (handshakeSeconds * 1000) / 2;
  for (let waitMs = halfMs; !over.aborted; waitMs = handshakeSeconds * 1000) {
    await sleep(waitMs, undefined, { signal: over }).catch(() => undefined);
    if (over.aborted) return false;
    if (!(await closesWhatEnds(address, halfMs, over))) return !over.aborted;
  }
  return false;
}

/** Leaves the time for a second attempt. */
const BARE_HANDSHAKE_SECONDS = 3;

function greeted(socket: TLSSocket, options: AgentLinkOptions, signal: AbortSignal): Promise<AgentLink> {
  return new Promise((resolve, reject) => {
    const fail = () => reject(signal.reason);
    signal.addEventListener("abort", fail, { once: true });
    if (signal.aborted) return fail();
    let link: AgentLink | null = null;
    // A refusal breaks the connection too; the link, once there is one, knows the reason that the proxy gave.
    const broken = (error: Error) => (link === null ? reject(error) : link.ended.then(() => reject(error)));
    socket.on("error", broken);
    socket.once("close", () => broken(new Error("the connection was closed during the handshake")));
    socket.once("secureConnect", () => {
      if (socket.alpnProtocol !== protocol.TUNNEL_ALPN) return reject(new Error("the server there is not a proxy"));
      socket.setNoDelay(true);
      const session: ServerHttp2Session = performServerHandshake(socket, protocol.HTTP2_OPTIONS);
      const greeting = new AgentLink(socket, session, options);
      link = greeting;
      void greeting.ended.then((reason) => reject(new Error(reason)));
      session.once("remoteSettings", () => {
        confirmed(session)
          .then(() => resolve(greeting), broken)
          .finally(() => signal.removeEventListener("abort", fail));
      });
    });
  });
}

/** A proxy that refuses us greets as well, so its answer to a ping is waited for. */
function confirmed(session: Http2Session): Promise<void> {
  return new Promise((resolve, reject) => {
    session.ping((error) => (error === null ? resolve() : reject(error)));
  });
}
