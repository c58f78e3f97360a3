import type { Socket } from "node:net";

/**
 * The first bytes of a connection whose turn has not come: they are kept until somebody begins with it. A client that leaves
 * meanwhile, or sends more than a TLS client does before it is answered, is closed.
 */
export class HeldOpening {
  readonly #take = (): void => {
    const chunk: Buffer | null = this.socket.read();
    if (chunk !== null) this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    if (this.#bytes.length > MAX_OPENING_BYTES) this.socket.destroy();
  };
  readonly #giveUp = (): void => void this.socket.destroy();
  #bytes: Buffer;

  /** @param read All that has been read of it. */
  constructor(
    private readonly socket: Socket,
    read: Buffer = NOTHING,
  ) {
    this.#bytes = read;
    socket.on("readable", this.#take).once("end", this.#giveUp);
  }

  /** Puts back all that came, for whoever begins. */
  release(): void {
    this.socket.off("readable", this.#take).off("end", this.#giveUp);
    if (this.#bytes.length > 0) this.socket.unshift(this.#bytes);
    this.#bytes = NOTHING; // the socket may be there for weeks, and keep whoever listened to it
  }
}

// --- internal ---

const NOTHING: Buffer = Buffer.alloc(0);
const MAX_OPENING_BYTES = 16 * 1024; // RFC 8446, 5.1: of one record
