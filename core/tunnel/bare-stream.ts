import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { MezError } from "../errors/error.js";
import { lendingReads } from "../flow/lending-socket.js";
import { readExactly } from "./read-exactly.js";
import { parseAddress, type StreamDialerOptions } from "./stream-dialer.js";
import { STREAM_KEY_BYTES, STREAM_SECRET_BYTES } from "./tunnel-protocol.js";
import { bareTunnelStream } from "./tunnel-stream.js";

/*
 * A stream that carries SSH needs no TLS around it: SSH is encrypted and authenticated from the person's client to the
 * node. What TLS did beside that, telling proxy and node whom they have before them, is done by a secret that only the
 * two know, because it came through their tunnel:
 *
 *   agent  BARE_STREAM_MAGIC, key of the stream, 16 random bytes
 *   proxy  16 random bytes, HMAC-SHA256(secret, "proxy", all of the above)
 *   agent  HMAC-SHA256(secret, "agent", all of the above)
 *
 * Then the bytes flow. Neither secret nor anything that could be used again crosses the wire, and the node's SSH server
 * hears nothing before the proxy has proven itself.
 */

/** What such a connection begins with. No TLS record and no SSH version line does. */
export const BARE_STREAM_MAGIC = Buffer.from("MEZITE1\n");

/** What the agent says first, in bytes. */
export const BARE_HELLO_BYTES = BARE_STREAM_MAGIC.length + STREAM_KEY_BYTES + 16;

/** A stream that the proxy asked for: its key, and the secret that proves who asked. */
export interface StreamTicket {
  readonly key: Buffer;
  readonly secret: Buffer;
}

/**
 * Dials the connection that the proxy asked for.
 * @throws {MezError} `UNAVAILABLE` also when whoever answers does not know the secret
 */
export async function dialBareStream(
  ticket: StreamTicket,
  options: Pick<StreamDialerOptions, "address" | "handshakeSeconds">,
): Promise<Duplex> {
  const { onread, attach, memory } = lendingReads();
  const socket = connect({ ...parseAddress(options.address), noDelay: true, allowHalfOpen: true, onread });
  attach(socket);
  socket.once("close", () => memory.close());
  return withinTime(socket, options.handshakeSeconds, `cannot bring a stream to ${options.address}`, async () => {
    const hello = Buffer.concat([BARE_STREAM_MAGIC, ticket.key, randomBytes(NONCE_BYTES)]);
    socket.write(hello);
    const answer = await readExactly(socket, NONCE_BYTES + PROOF_BYTES);
    const nonce = answer.subarray(0, NONCE_BYTES);
    if (!timingSafeEqual(answer.subarray(NONCE_BYTES), proof(ticket.secret, "proxy", hello, nonce)))
      throw new Error("whoever answered is not the proxy that asked");
    socket.write(proof(ticket.secret, "agent", hello, nonce));
  });
}

/**
 * Receives such a connection, from its first byte on.
 * @param secretOf The secret of the stream with that key; `null` when nobody asked for it.
 * @returns The key that the agent has proven to be the one for, and the stream.
 * @throws {MezError} `UNAVAILABLE`
 */
export async function receiveBareStream(
  socket: Socket,
  secretOf: (key: Buffer) => Buffer | null,
  handshakeSeconds: number,
): Promise<{ readonly key: Buffer; readonly stream: Duplex }> {
  let key: Buffer = Buffer.alloc(0);
  const stream = await withinTime(socket, handshakeSeconds, "an agent did not bring the stream it was asked for", async () => {
    const hello = await readExactly(socket, BARE_HELLO_BYTES);
    key = hello.subarray(BARE_STREAM_MAGIC.length, BARE_STREAM_MAGIC.length + STREAM_KEY_BYTES);
    // For a key that nobody waits for we go on with a secret that nobody knows, which tells the two cases apart for no one.
    const secret = secretOf(key) ?? randomBytes(STREAM_SECRET_BYTES);
    const nonce = randomBytes(NONCE_BYTES);
    socket.write(Buffer.concat([nonce, proof(secret, "proxy", hello, nonce)]));
    const shown = await readExactly(socket, PROOF_BYTES);
    if (!timingSafeEqual(shown, proof(secret, "agent", hello, nonce))) throw new Error("the agent does not know the secret");
  });
  return { key, stream };
}

// --- internal ---

const NONCE_BYTES = 16;
const PROOF_BYTES = 32;

function proof(secret: Buffer, who: "proxy" | "agent", ...said: readonly Buffer[]): Buffer {
  const hmac = createHmac("sha256", secret).update(who);
  for (const part of said) hmac.update(part);
  return hmac.digest();
}

async function withinTime(socket: Socket, seconds: number, what: string, shakeHands: () => Promise<void>): Promise<Duplex> {
  const timer = setTimeout(() => socket.destroy(), seconds * 1000);
  const ignore = () => undefined;
  socket.on("error", ignore);
  try {
    await shakeHands();
    return bareTunnelStream(socket);
  } catch (cause) {
    socket.destroy();
    throw new MezError("UNAVAILABLE", what, { cause });
  } finally {
    clearTimeout(timer);
    socket.off("error", ignore);
  }
}
