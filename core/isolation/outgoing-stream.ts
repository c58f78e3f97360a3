import { MezError } from "../errors/error.js";
import { type Reply, STREAM_WINDOW_BYTES, toWireError } from "./wire.js";

/** Sends a stream of bytes in pieces, never more of them than the reader has room for. */
export class OutgoingStream {
  #room = STREAM_WINDOW_BYTES;
  #isStopped = false;
  #onChange: () => void = () => {};

  constructor(
    private readonly source: AsyncIterable<Uint8Array>,
    private readonly send: (reply: Reply) => Promise<void>,
    private readonly call: number,
  ) {}

  /** The reader has room for so many bytes more. */
  allow(bytes: number): void {
    this.#room += bytes;
    this.#onChange();
  }

  /** Nobody reads any more. */
  stop(): void {
    this.#isStopped = true;
    (this.source as { destroy?: () => void }).destroy?.();
    this.#onChange();
  }

  /** Sends everything, then the end of it, or what went wrong. */
  async run(): Promise<void> {
    const { call } = this;
    try {
      for await (const bytes of this.source) {
        if (!(bytes instanceof Uint8Array)) throw new MezError("INTERNAL", "the stream has something else than bytes in it");
        for (let offset = 0; offset < bytes.length && !this.#isStopped; offset += PIECE_BYTES) {
          await this.#roomy();
          const piece = bytes.subarray(offset, offset + PIECE_BYTES);
          this.#room -= piece.length;
          if (!this.#isStopped) await this.send({ type: "chunk", call, bytes: Buffer.from(piece) });
        }
        if (this.#isStopped) return;
      }
      await this.send({ type: "end", call });
    } catch (error) {
      if (this.#isStopped) return;
      await this.send({ type: "failure", call, error: toWireError(error) });
    }
  }

  async #roomy(): Promise<void> {
    while (this.#room <= 0 && !this.#isStopped) {
      await new Promise<void>((resolve) => {
        this.#onChange = resolve;
      });
    }
  }
}

// --- internal ---

const PIECE_BYTES = 256 * 1024;
