import { Readable } from "node:stream";
import { STREAM_WINDOW_BYTES } from "./wire.js";

export interface IncomingStreamOptions {
  /** Tells the sender that there is room for so many bytes more. */
  readonly more: (bytes: number) => void;
  /** Tells the sender that nobody reads any more. */
  readonly stop: () => void;
  /** The error when nothing came for too long while somebody waited. */
  readonly silent: () => Error;
  readonly timeoutMs: number;
}

/** Bytes that another process sends, as a stream; the sender is told of room only when the reader has taken what came. */
export class IncomingStream extends Readable {
  #waiting: Buffer[] = [];
  #isFinished = false;
  #isEnded = false;
  #failure: Error | null = null;
  #isWanted = false;
  #window = STREAM_WINDOW_BYTES;
  #timer: NodeJS.Timeout | null = null;

  constructor(private readonly options: IncomingStreamOptions) {
    super();
  }

  /** Bytes came. @throws {Error} when there was no room for them */
  receive(bytes: Buffer): void {
    this.#window -= bytes.length;
    // The last piece may be larger than the room that was left.
    if (this.#window < -STREAM_WINDOW_BYTES) throw new Error("more bytes than there was room for");
    this.#keep(bytes);
    this.#deliver();
  }

  /** All has come. */
  finish(): void {
    this.#isFinished = true;
    this.#deliver();
  }

  /** Nothing more will come. Told to whoever reads what has come, and to nobody when nobody reads. */
  fail(error: Error): void {
    this.#failure = error;
    this.#deliver();
  }

  override _read(): void {
    this.#isWanted = true;
    this.#deliver();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#watch(false);
    this.#waiting = [];
    this.options.stop();
    done(error);
  }

  /** Small pieces become one: each costs more memory than its bytes, and only those are counted. */
  #keep(bytes: Buffer): void {
    if (bytes.length === 0) return;
    const last = this.#waiting.at(-1);
    if (last === undefined || last.length + bytes.length > SMALL_BYTES) this.#waiting.push(bytes);
    else this.#waiting[this.#waiting.length - 1] = Buffer.concat([last, bytes]);
  }

  #deliver(): void {
    while (this.#isWanted && this.#waiting.length > 0) {
      const bytes = this.#waiting.shift() as Buffer;
      this.#window += bytes.length;
      this.options.more(bytes.length);
      this.#isWanted = this.push(bytes);
    }
    if (this.#isFinished && this.#waiting.length === 0 && !this.#isEnded) {
      this.#isEnded = true;
      this.push(null);
    }
    if (this.#failure !== null && this.#isWanted) this.destroy(this.#failure);
    else this.#watch(this.#isWanted && !this.#isFinished);
  }

  #watch(isOn: boolean): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = isOn ? setTimeout(() => this.destroy(this.options.silent()), this.options.timeoutMs) : null;
    this.#timer?.unref();
  }
}

// --- internal ---

const SMALL_BYTES = 4096;
