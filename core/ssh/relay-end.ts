import type { Duplex } from "node:stream";
import { isMezError } from "../errors/error.js";
import type { Protocol } from "./ssh2-internals.js";
import { DISCONNECT, failConnection, sendPayload, transportOf } from "./transport.js";

/**
 * One end of a connection whose messages are passed on instead of being served: takes every message of the connection
 * protocol as it came off the wire, and sends others.
 * @see RFC 4254
 */
export class RelayEnd {
  #receive: ((payload: Buffer) => void) | null = null;
  #onRoom: (() => void) | null = null;
  readonly #held: Buffer[] = [];
  #holds = 1;
  #isPeerFull = false;
  #isFull = false;

  /** From here on nothing is served any more; messages wait for `start`. */
  constructor(
    private readonly protocol: Protocol,
    private readonly stream: Duplex,
  ) {
    const transport = transportOf(protocol);
    transport.onConnectionMessage = (payload) => this.#take(payload);
    transport.onExchanged = () => this.#checkRoom();
    transport.gatherWrites(stream);
    stream.on("drain", () => this.#checkRoom());
    this.#flow();
  }

  get isOver(): boolean {
    return this.protocol._destruct === undefined || transportOf(this.protocol).isOver;
  }

  get bytesReceived(): number {
    return transportOf(this.protocol).bytesReceived;
  }

  /** @param receive Gets each message; the bytes are its own to change, and valid during the call only. */
  start(receive: (payload: Buffer) => void): void {
    this.#receive = receive;
    this.release();
  }

  /** Keeps further messages back until `release` was called as often. */
  hold(): void {
    this.#holds += 1;
    this.#flow();
  }

  release(): void {
    this.#holds -= 1;
    while (this.#holds === 0 && this.#held.length > 0) this.#take(this.#held.shift() as Buffer);
    this.#flow();
  }

  /** Sends a message; the bytes are free again when it returns. @returns `false` when it would be good to wait for `whenRoom`. */
  send(payload: Buffer): boolean {
    if (this.isOver) return true;
    sendPayload(this.protocol, payload);
    // While keys are exchanged, everything waits in memory.
    this.#isFull =
      this.protocol._kexinit !== undefined || (this.stream.writableNeedDrain && this.stream.writableLength >= FULL_BYTES);
    return !this.#isFull;
  }

  /** Stops reading until `other` can take more. */
  waitFor(other: RelayEnd): void {
    if (this.#isPeerFull) return;
    this.#isPeerFull = true;
    this.#flow();
    other.#onRoom = () => {
      this.#isPeerFull = false;
      this.#flow();
    };
  }

  /** Ends the connection, because the peer broke the rules. */
  fail(text: string): void {
    failConnection(this.protocol, DISCONNECT.protocolError, text);
    this.stream.destroy();
  }

  #take(payload: Buffer): void {
    if (this.#receive === null || this.#holds > 0) {
      this.#held.push(Buffer.from(payload));
      return;
    }
    try {
      this.#receive(payload);
    } catch (error) {
      if (!isMezError(error, "SSH_MALFORMED")) throw error;
      this.fail(error.message);
    }
  }

  #checkRoom(): void {
    if (!this.#isFull || this.stream.writableNeedDrain || this.protocol._kexinit !== undefined) return;
    this.#isFull = false;
    this.#onRoom?.();
  }

  #flow(): void {
    if (this.#holds > 0 || this.#isPeerFull) this.stream.pause();
    else this.stream.resume();
  }
}

// --- internal ---

/** Enough to keep a socket busy. */
const FULL_BYTES = 256 * 1024;
