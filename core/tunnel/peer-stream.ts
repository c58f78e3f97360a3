import type { X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { isMezError, MezError, messageOf } from "../errors/error.js";
import { readExactly } from "./read-exactly.js";
import { relay } from "./relay.js";
import { dialTls, type StreamDialerOptions } from "./stream-dialer.js";
import { parseStreamInfo, streamInfoHeaders, type TunnelStreamInfo } from "./stream-headers.js";
import { nodeOffline } from "./tunnel.js";
import { PEER_ALPN } from "./tunnel-protocol.js";
import { tunnelStream } from "./tunnel-stream.js";

/*
 * A session that lands on a proxy without a tunnel to its node is passed on to a proxy that has one. Over TLS 1.3 with
 * the host certificates of both:
 *
 *   asking    uint16 length, JSON object with what is said of the stream (see `stream-headers.ts`)
 *   answering 1 byte: HERE, then the bytes of the stream flow; or NOT_HERE or REFUSED, and the end
 *
 * Whoever is asked looks among its own tunnels only, so that a question never goes in circles. Who may not ask is refused
 * before a byte of the question is read.
 */

export interface PeerDialerOptions extends StreamDialerOptions {
  /** Says whether whoever answers, with a certificate of the Host CA, is a proxy. */
  readonly isProxy: (certificate: X509Certificate) => boolean;
}

/**
 * Asks another proxy for a stream to a node.
 * @throws {MezError} `NODE_OFFLINE` when the node is not connected there; `UNAVAILABLE` when the proxy cannot be reached or
 *   refuses us; the signal's reason when it aborts
 */
export async function askPeer(info: TunnelStreamInfo, options: PeerDialerOptions, signal: AbortSignal): Promise<Duplex> {
  const { socket, tcp } = dialTls(options, PEER_ALPN);
  socket.on("error", () => undefined);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(options.handshakeSeconds * 1000)]);
  const stop = () => socket.destroy(limit.reason);
  limit.addEventListener("abort", stop, { once: true });
  try {
    await secured(socket);
    const certificate = socket.getPeerX509Certificate();
    if (socket.alpnProtocol !== PEER_ALPN || certificate === undefined || !options.isProxy(certificate))
      throw new Error("it is not a proxy of this cluster that serves others");
    socket.write(encodeQuestion(info));
    const [answer] = await readExactly(socket, 1);
    if (answer === NOT_HERE) throw nodeOffline(info.nodeName);
    if (answer !== HERE) throw new Error("it refuses this proxy; its log says why");
    limit.throwIfAborted();
    return tunnelStream(socket, tcp);
  } catch (cause) {
    socket.destroy();
    signal.throwIfAborted();
    if (isMezError(cause)) throw cause;
    throw new MezError("UNAVAILABLE", `cannot ask the proxy at ${options.address}: ${messageOf(cause)}`, { cause });
  } finally {
    limit.removeEventListener("abort", stop);
  }
}

/** Turns away whoever may not ask, without reading what it asks. */
export function refusePeer(socket: TLSSocket): void {
  socket.on("error", () => undefined);
  endWith(socket, REFUSED);
}

/** Answers one question of another proxy, and copies until the stream is over. Never rejects. */
export async function answerPeer(
  socket: TLSSocket,
  tcp: Socket,
  /** @throws {MezError} `NODE_OFFLINE`, or why the other proxy is refused */
  open: (info: TunnelStreamInfo, signal: AbortSignal) => Promise<Duplex>,
  /** Told once the question was read: what comes from here on is no handshake. */
  onAsked: () => void,
): Promise<void> {
  const gone = new AbortController();
  socket.on("error", () => undefined).once("close", () => gone.abort(new MezError("CANCELLED", "the other proxy went away")));
  let stream: Duplex;
  try {
    const info = await readQuestion(socket);
    onAsked();
    stream = await open(info, gone.signal);
  } catch (error) {
    return endWith(socket, isMezError(error, "NODE_OFFLINE", "TUNNEL_LOST") ? NOT_HERE : REFUSED);
  }
  if (gone.signal.aborted) return void stream.destroy();
  const near = tunnelStream(socket, tcp);
  near.write(Buffer.of(HERE));
  await relay(near, stream);
}

// --- internal ---

const HERE = 1;
const NOT_HERE = 2;
const REFUSED = 3;
const MAX_QUESTION_BYTES = 4_096;
const LAST_WORD_MS = 5_000;

/** Bytes that nobody has read when a socket closes can take the answer with them, so they are thrown away until the other side ends. */
function endWith(socket: TLSSocket, answer: number): void {
  const limit = setTimeout(() => socket.destroy(), LAST_WORD_MS).unref();
  socket.once("close", () => clearTimeout(limit)).once("end", () => socket.destroy());
  socket.resume().end(Buffer.of(answer));
}

function encodeQuestion(info: TunnelStreamInfo): Buffer {
  const text = Buffer.from(JSON.stringify(streamInfoHeaders(info)));
  const length = Buffer.alloc(2);
  length.writeUInt16BE(text.length);
  return Buffer.concat([length, text]);
}

async function readQuestion(socket: TLSSocket): Promise<TunnelStreamInfo> {
  const length = (await readExactly(socket, 2)).readUInt16BE(0);
  if (length > MAX_QUESTION_BYTES) throw new MezError("INVALID_ARGUMENT", `a question of ${length} bytes is too long`);
  const parsed: unknown = JSON.parse((await readExactly(socket, length)).toString("utf8"));
  if (typeof parsed !== "object" || parsed === null) throw new MezError("INVALID_ARGUMENT", "a question is an object");
  return parseStreamInfo({ ...parsed });
}

function secured(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("secureConnect", resolve).once("error", reject);
    socket.once("close", () => reject(new Error("the connection was closed during the handshake")));
  });
}
