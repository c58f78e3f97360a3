import type { Writable } from "node:stream";
import { isLent, owned } from "../flow/lent-memory.js";
import { SIGNATURE_ALGORITHMS } from "./algorithms.js";
import { isOnSlab } from "./packet-slab.js";
import { PacketWrites } from "./packet-writes.js";
import { type Protocol, requireSsh2 } from "./ssh2-internals.js";
import { string, uint32 } from "./wire.js";
import { countBytes } from "./young-collection.js";

/** Reason codes of SSH_MSG_DISCONNECT. @see RFC 4253, 11.1 */
export const DISCONNECT = {
  protocolError: 2,
  keyExchangeFailed: 3,
  serviceNotAvailable: 7,
  byApplication: 11,
  noMoreAuthMethods: 14,
} as const;

/** What we keep about a connection beside ssh2: counters and the rekey policy. */
export class Transport {
  bytesSent = 0;
  bytesReceived = 0;
  /** Messages with data of channels, both ways: keepalives and key changes are none. */
  dataMessages = 0;
  /** Keys are changed after this many bytes in both directions together… */
  rekeyBytes = 2 ** 30; // RFC 4253, 9: "after each gigabyte"
  /** …or after this time, whichever comes first. */
  rekeyMs = 3_600_000;
  /** A key change that was begun must be over within this time. */
  rekeyTimeoutMs = 60_000;
  /** Takes the raw USERAUTH_REQUEST messages of a server's client. */
  onUserAuthRequest: ((payload: Buffer) => void) | null = null;
  /** Takes the raw messages of the connection protocol, in place of ssh2. */
  onConnectionMessage: ((payload: Buffer) => void) | null = null;
  /** Called after each exchange of keys, when what waited for it was sent. */
  onExchanged: (() => void) | null = null;
  #bytesSinceRekey = 0;
  #isRekeyDue = false;
  #isOver = false;
  #exchanges = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #send: (data: Buffer) => void;
  #writes: PacketWrites | null = null;
  #socket: Writable | null = null;

  constructor(private readonly protocol: Protocol) {
    const write = protocol._onWrite;
    protocol._onWrite = (data) => {
      this.bytesSent += data.length;
      if (!isOnSlab(data)) countBytes(data.length);
      this.#count(data.length);
      if (this.#writes === null) write(data);
      else this.#writes.write(data);
    };
    this.#send = write;
    const complete = protocol._onHandshakeComplete;
    protocol._onHandshakeComplete = (negotiated) => {
      this.#onExchange();
      complete.call(protocol, negotiated);
      this.onExchanged?.();
    };
  }

  /** How many key exchanges were completed. */
  get exchanges(): number {
    return this.#exchanges;
  }

  /** True once we sent a DISCONNECT; nothing is parsed after that. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** From now on writes fewer and larger pieces to the connection's socket. */
  gatherWrites(socket: Writable): void {
    this.#socket ??= socket;
    this.#writes ??= new PacketWrites(socket, this.#send);
  }

  /** True while the peer does not read what is sent; then nobody should make more of it until `onRoom`. */
  get isBehind(): boolean {
    return this.#socket !== null && this.#socket.writableLength > MAX_BACKLOG_BYTES;
  }

  /** Calls once when all that was sent is on its way. */
  onRoom(listener: () => void): void {
    this.#socket?.once("drain", listener);
  }

  /** Sends at once what is gathered. */
  flush(): void {
    this.#writes?.flush();
  }

  received(length: number, isLent: boolean): void {
    this.bytesReceived += length;
    if (!isLent) countBytes(length);
    this.#count(length);
  }

  markOver(): void {
    this.#isOver = true;
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #count(length: number): void {
    this.#bytesSinceRekey += length;
    if (this.#bytesSinceRekey >= this.rekeyBytes && !this.#isRekeyDue && this.#exchanges > 0) this.#rekeySoon();
  }

  #onExchange(): void {
    this.#bytesSinceRekey = 0;
    this.#isRekeyDue = false;
    this.#arm(this.rekeyMs);
    const exchange = this.protocol._kex;
    if (this.#exchanges++ > 0 || !this.protocol._server || !exchange?.remoteExtInfoEnabled) return;
    exchange.remoteExtInfoEnabled = false; // ssh2's own EXT_INFO lacks a comma and offers SHA-1
    sendPayload(
      this.protocol,
      Buffer.concat([Buffer.of(7), uint32(1), string("server-sig-algs"), string(SIGNATURE_ALGORITHMS.join(","))]),
    );
  }

  #rekeySoon(): void {
    this.#isRekeyDue = true;
    // Not at once: a cipher may be in the middle of a packet, before its sequence number moves.
    setImmediate(() => {
      if (this.#isOver || this.protocol._destruct === undefined) return;
      if (!this.protocol._authenticated) {
        this.#isRekeyDue = false;
        return;
      }
      if (this.protocol._kexinit === undefined) this.protocol.rekey();
      this.#arm(this.rekeyTimeoutMs);
    });
  }

  #arm(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#onTimer(milliseconds), milliseconds).unref();
  }

  #onTimer(milliseconds: number): void {
    if (this.#isOver || this.protocol._destruct === undefined) return;
    if (this.protocol._kexinit !== undefined) failConnection(this.protocol, DISCONNECT.keyExchangeFailed, "rekey timed out");
    else if (this.protocol._authenticated) this.#rekeySoon();
    else this.#arm(milliseconds); // the login grace time is the server's business
  }
}

/** The transport of an ssh2 connection. */
export function transportOf(protocol: Protocol): Transport {
  const known = transports.get(protocol);
  if (known) return known;
  const made = new Transport(protocol);
  transports.set(protocol, made);
  return made;
}

/** Sends one message. @param duringExchange Also while keys are being exchanged, when other messages wait. */
export function sendPayload(protocol: Protocol, payload: Buffer, duringExchange = false): void {
  const { write } = protocol._packetRW;
  const start = duringExchange ? write.allocStartKEX : write.allocStart;
  const packet = write.alloc(payload.length, duringExchange);
  packet.set(payload, start);
  sendPacket(protocol, write.finalize(packet, duringExchange), duringExchange);
}

/** Sends SSH_MSG_DISCONNECT with a text that the peer shows (ssh2's own is always empty); afterwards we hear nothing more. */
export function sendDisconnect(protocol: Protocol, code: number, text: string): void {
  const transport = transportOf(protocol);
  if (protocol._destruct === undefined || transport.isOver) return;
  sendPayload(protocol, Buffer.concat([Buffer.of(1), uint32(code), string(text), string("")]), true);
  transport.flush();
  transport.markOver();
}

/** Ends a connection whose peer broke the rules. */
export function failConnection(protocol: Protocol, code: number, text: string): void {
  sendDisconnect(protocol, code, text);
  protocol.cleanup();
  protocol._onError(new Error(text));
}

/** Counts what comes in, and lets nothing be parsed after we disconnected. */
export function installTransport(): void {
  const { prototype } = requireSsh2<{ prototype: Protocol }>("lib/protocol/Protocol.js");
  const { parse, disconnect, _destruct } = prototype;
  prototype.parse = function (chunk, start, end) {
    const transport = transportOf(this);
    if (transport.isOver) return;
    transport.received(end - start, isLent(chunk));
    if (transport.exchanges > 0) return parse.call(this, chunk, start, end);
    const own = owned(chunk.subarray(start, end)); // what is said before there are keys is kept for the exchange hash
    parse.call(this, own, 0, own.length);
  };
  prototype.disconnect = function (reason) {
    const transport = transportOf(this);
    if (transport.isOver) return;
    disconnect.call(this, reason);
    transport.markOver();
  };
  prototype._destruct = function (reason) {
    transportOf(this).stop();
    _destruct?.call(this, reason);
  };
  const handlers = requireSsh2<((protocol: Protocol, payload: Buffer) => unknown)[]>("lib/protocol/handlers.js");
  for (let type = FIRST_CONNECTION_MESSAGE; type <= LAST_CONNECTION_MESSAGE; type += 1) {
    const serve = handlers[type];
    handlers[type] = (protocol, payload) => {
      const take = transportOf(protocol).onConnectionMessage;
      return take === null ? serve?.(protocol, payload) : take(payload);
    };
  }
  handlers[USERAUTH_REQUEST] = (protocol, payload) => transportOf(protocol).onUserAuthRequest?.(Buffer.from(payload));
}

// --- internal ---

const USERAUTH_REQUEST = 50;
const FIRST_CONNECTION_MESSAGE = 80; // RFC 4250, 4.1.2
const LAST_CONNECTION_MESSAGE = 100;
const MAX_BACKLOG_BYTES = 512 * 1024;

const transports = new WeakMap<Protocol, Transport>();

function sendPacket(protocol: Protocol, packet: Buffer, bypass: boolean): void {
  requireSsh2<{ sendPacket(protocol: Protocol, packet: Buffer, bypass: boolean): void }>("lib/protocol/utils.js").sendPacket(
    protocol,
    packet,
    bypass,
  );
}
