import { MezError } from "../errors/error.js";

/** How long a message may be: its JSON text, which is read at once and grows when it is, and the bytes beside that. */
export interface FrameLimits {
  readonly textBytes: number;
  readonly bytes: number;
}

/**
 * Writes plain data, with bytes and dates in it, as one frame: 4 bytes length of the rest, 4 bytes length of the JSON text, the
 * JSON text, and the bytes, which the text names by offset and length. Numbers are big-endian.
 * @throws {MezError} `LIMIT_EXCEEDED`; `INVALID_ARGUMENT` for what is no plain data
 */
export function encodeFrame(message: unknown, limits: FrameLimits): Buffer {
  const pieces: Uint8Array[] = [];
  let length = 0;
  const place = (bytes: Uint8Array): object => {
    pieces.push(bytes);
    length += bytes.length;
    return { $bytes: [length - bytes.length, bytes.length] };
  };
  const json = Buffer.from(JSON.stringify(toPlain(message, place)) ?? "null");
  refuseLonger(json.length, length, limits);
  const total = 4 + json.length + length;
  const head = Buffer.alloc(8);
  head.writeUInt32BE(total, 0);
  head.writeUInt32BE(json.length, 4);
  return Buffer.concat([head, json, ...pieces]);
}

/** Reads frames out of bytes that come in pieces of any size. */
export class FrameReader {
  #rest: Buffer[] = [];
  #length = 0;

  /**
   * @param most What no message may be longer than; refused before more of it is kept than its head.
   * @param limitsOf What a message of its kind may not be longer than.
   */
  constructor(
    private readonly most: FrameLimits,
    private readonly limitsOf: (message: unknown) => FrameLimits = () => most,
  ) {}

  /**
   * The messages that are complete with these bytes.
   * @throws {MezError} `LIMIT_EXCEEDED`, `INVALID_ARGUMENT`: nothing after that can be read
   */
  read(bytes: Buffer): readonly unknown[] {
    this.#rest.push(bytes);
    this.#length += bytes.length;
    const messages: unknown[] = [];
    for (;;) {
      const size = this.#size();
      if (size === null || this.#length < size) return messages;
      const whole = this.#rest.length === 1 ? (this.#rest[0] as Buffer) : Buffer.concat(this.#rest);
      messages.push(this.#decode(whole.subarray(4, size)));
      this.#length -= size;
      this.#rest = this.#length === 0 ? [] : [whole.subarray(size)];
    }
  }

  /** Length of the frame that begins here, with its head; `null` while that is not known. */
  #size(): number | null {
    if (this.#length < 8) return null;
    if ((this.#rest[0] as Buffer).length < 8) this.#rest = [Buffer.concat(this.#rest)];
    const [total, json] = [(this.#rest[0] as Buffer).readUInt32BE(0), (this.#rest[0] as Buffer).readUInt32BE(4)];
    if (total < 4 || json > total - 4) throw new MezError("INVALID_ARGUMENT", "a frame that is shorter than it says");
    refuseLonger(json, total - 4 - json, this.most);
    return 4 + total;
  }

  #decode(frame: Buffer): unknown {
    const jsonLength = frame.readUInt32BE(0);
    const message = decode(frame, jsonLength);
    refuseLonger(jsonLength, frame.length - 4 - jsonLength, this.limitsOf(message));
    return message;
  }
}

// --- internal ---

function toPlain(value: unknown, place: (bytes: Uint8Array) => object): unknown {
  if (value instanceof Uint8Array) return place(value);
  if (value instanceof Date) return { $date: value.getTime() };
  if (Array.isArray(value)) return value.map((item) => toPlain(item, place));
  if (typeof value === "function" || typeof value === "symbol" || typeof value === "bigint") throw unfit(typeof value);
  if (typeof value !== "object" || value === null) return value;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) throw unfit((value as object).constructor.name);
  const entries = Object.entries(value).map(([key, item]) => [key, toPlain(item, place)] as const);
  // An object of the plugin's own must not read as one of the marks.
  return Object.keys(value).some((key) => key.startsWith("$")) ? { $entries: entries } : Object.fromEntries(entries);
}

function refuseLonger(text: number, bytes: number, limits: FrameLimits): void {
  if (text > limits.textBytes)
    throw new MezError("LIMIT_EXCEEDED", `a message with ${text} bytes of text; at most ${limits.textBytes} fit`);
  if (bytes > limits.bytes) throw new MezError("LIMIT_EXCEEDED", `a message with ${bytes} bytes; at most ${limits.bytes} fit`);
}

function decode(frame: Buffer, jsonLength: number): unknown {
  const bytes = new FrameBytes(frame.subarray(4 + jsonLength));
  try {
    return fromPlain(JSON.parse(frame.toString("utf8", 4, 4 + jsonLength)), bytes);
  } catch (cause) {
    throw new MezError("INVALID_ARGUMENT", "a frame that cannot be read", { cause });
  }
}

function fromPlain(value: unknown, bytes: FrameBytes): unknown {
  if (Array.isArray(value)) return value.map((item) => fromPlain(item, bytes));
  if (typeof value !== "object" || value === null) return value;
  const { $bytes, $date, $entries } = value as { $bytes?: unknown; $date?: unknown; $entries?: unknown };
  if ($bytes !== undefined) return bytes.take($bytes);
  if (typeof $date === "number") return new Date($date);
  const entries = Array.isArray($entries) ? ($entries as [string, unknown][]) : Object.entries(value);
  return Object.fromEntries(entries.map(([key, item]) => [String(key), fromPlain(item, bytes)]));
}

/** The bytes of one frame, each of them read once: a short text could name the same ones many thousand times. */
class FrameBytes {
  #left: number;

  constructor(private readonly bytes: Buffer) {
    this.#left = bytes.length;
  }

  take(place: unknown): Buffer {
    const [offset, length] = place as [unknown, unknown];
    if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length)) throw new Error("no place of bytes");
    const [from, count] = [offset as number, length as number];
    this.#left -= count;
    if (from < 0 || count < 0 || from + count > this.bytes.length || this.#left < 0)
      throw new Error("bytes outside of the frame");
    return Buffer.from(this.bytes.subarray(from, from + count));
  }
}

function unfit(what: string): MezError {
  return new MezError("INVALID_ARGUMENT", `a ${what} cannot be sent to another process; only plain data, bytes and dates can`);
}
