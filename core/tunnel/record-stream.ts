import type { Socket } from "node:net";
import { Duplex } from "node:stream";

/**
 * What a TLS engine runs on at the beginning of a TCP connection. It takes one record of the connection at a time and nothing
 * behind it, so that the bytes after TLS stay where they are. Destroying it leaves the connection alone.
 * @see RFC 8446, 5.1
 */
export class RecordStream extends Duplex {
  #isWanted = false;
  #header: Buffer | null = null;

  constructor(private readonly tcp: Socket) {
    super();
    tcp.on("readable", this.#take).on("end", this.#onEnd).on("close", this.#onClose).on("error", this.#onError);
  }

  /**
   * Reads no more.
   * @returns False when something has come that was not asked for.
   */
  stop(): boolean {
    this.#isWanted = false;
    this.tcp.off("readable", this.#take).off("end", this.#onEnd);
    return this.#header === null && this.tcp.readableLength === 0;
  }

  override _read(): void {
    this.#isWanted = true;
    this.#take();
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.tcp.write(bytes, done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.stop();
    this.tcp.off("close", this.#onClose).off("error", this.#onError);
    done(error);
  }

  readonly #take = (): void => {
    while (this.#isWanted) {
      this.#header ??= this.#bytes(HEADER_BYTES);
      if (this.#header === null) return;
      const length = this.#header.readUInt16BE(3);
      if (!isRecord(this.#header, length)) return void this.destroy(new Error("the other end does not speak TLS"));
      const content = this.#bytes(length);
      if (content === null) return;
      const record = Buffer.concat([this.#header, content]);
      this.#header = null;
      this.#isWanted = false;
      this.push(record); // asks for the next one, by `_read`
    }
  };

  #bytes(length: number): Buffer | null {
    const bytes: Buffer | null = this.tcp.read(length);
    if (bytes === null || bytes.length === length) return bytes;
    this.#isWanted = false; // an ended stream gives what it has
    return null;
  }

  readonly #onEnd = (): void => void this.push(null);
  readonly #onClose = (): void => void this.destroy();
  readonly #onError = (error: Error): void => void this.destroy(error);
}

// --- internal ---

const HEADER_BYTES = 5;
const FIRST_TYPE = 20; // change_cipher_spec
const LAST_TYPE = 23; // application_data
const MAX_RECORD_BYTES = 16_384 + 256; // RFC 8446, 5.2

function isRecord([type = 0, major]: Buffer, length: number): boolean {
  return type >= FIRST_TYPE && type <= LAST_TYPE && major === 3 && length > 0 && length <= MAX_RECORD_BYTES;
}
