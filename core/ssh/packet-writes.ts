import type { Writable } from "node:stream";
import { atEndOfTurn, isLending } from "../flow/lent-memory.js";
import { type WriteNow, writeNowOf } from "../flow/write-now.js";
import { clearSlab, isOnSlab, keepSlab, slabPiece } from "./packet-slab.js";

/** From here on a packet is part of a transfer and not somebody's keystroke, which leaves at once. */
const BULK_BYTES = 4_096;
/** Enough for one write to be cheap. */
const MAX_HELD_BYTES = 256 * 1024;
/** What is smaller is copied rather than keep a slab for it. */
const WORTH_KEEPING_BYTES = 16 * 1024;

/** Connections with packets on the slab that are not written yet. */
let waiting = 0;

/** Lets the packets that are made in one go leave in one write: the system calls cost more than the encryption. */
export class PacketWrites {
  #start = 0;
  #end = 0;
  readonly #flush = () => this.flush();
  readonly #writeNow: WriteNow | null;
  #heldBytes = 0;
  #isHolding = false;
  #isFlushNear = false;

  /** @param send Writes to `socket`, as long as that can be written to. */
  constructor(
    private readonly socket: Writable,
    private readonly send: (data: Buffer) => void,
  ) {
    this.#writeNow = writeNowOf(socket);
    const end = socket.end.bind(socket) as Writable["end"];
    socket.end = ((...args: Parameters<Writable["end"]>) => {
      this.flush(); // what was sent before the end leaves before it
      return end(...args);
    }) as Writable["end"];
  }

  write(packet: Buffer): void {
    if (isOnSlab(packet)) return this.#writeOnSlab(packet);
    if (this.#end > 0) this.#sendPiece();
    if (!this.#isHolding && packet.length >= BULK_BYTES) {
      this.#isHolding = true;
      this.socket.cork();
      if (isLending()) this.#flushNear();
      else process.nextTick(() => this.flush());
    } else if (this.#isHolding && this.#heldBytes >= MAX_HELD_BYTES) {
      this.socket.uncork();
      this.socket.cork();
      this.#heldBytes = 0;
    }
    if (this.#isHolding) this.#heldBytes += packet.length;
    this.send(packet);
  }

  /** Sends what is held; needed before a socket is destroyed. */
  flush(): void {
    this.#isFlushNear = false;
    const hadPiece = this.#end > 0;
    if (hadPiece) this.#sendPiece();
    if (this.#isHolding) {
      this.#isHolding = false;
      this.#heldBytes = 0;
      this.socket.uncork();
    }
  }

  #writeOnSlab(packet: Buffer): void {
    const start = packet.byteOffset;
    if (this.#end > 0 && this.#end !== start) this.#sendPiece();
    if (this.#end === 0) {
      waiting += 1;
      this.#start = start;
    }
    this.#end = start + packet.length;
    this.#flushNear();
  }

  #flushNear(): void {
    if (this.#isFlushNear) return;
    this.#isFlushNear = true;
    atEndOfTurn(this.#flush);
  }

  #sendPiece(): void {
    const isBehind = this.socket.writableLength > 0;
    const piece = slabPiece(this.#start, this.#end);
    const isCopied = isBehind && piece.length < WORTH_KEEPING_BYTES;
    this.#end = 0;
    waiting -= 1;
    if (this.#writeNow?.(piece)) {
      if (waiting === 0) clearSlab();
      return;
    }
    this.send(isCopied ? Buffer.from(piece) : piece);
    if (!isCopied && this.socket.writableLength > 0) {
      const giveBack = keepSlab();
      if (this.socket.writableNeedDrain) this.socket.once("drain", giveBack);
    }
    if (waiting === 0) clearSlab();
  }
}
