import { isUtf8 } from "node:buffer";
import { MezError } from "../errors/error.js";

/**
 * Reads SSH data types one after the other. Strict: a field that reaches past the end, and bytes left over at
 * `end()`, are errors. Buffers that it returns share memory with the input.
 * @throws {MezError} `SSH_MALFORMED` from every method.
 * @see RFC 4251, 5 "Data Type Representations Used in the SSH Protocols"
 */
export class WireReader {
  #position = 0;

  /** @param what Names the structure in error messages, e.g. `certificate`. */
  constructor(
    private readonly bytes: Buffer,
    private readonly what: string,
  ) {}

  /** How many bytes were read so far. */
  get position(): number {
    return this.#position;
  }

  get isAtEnd(): boolean {
    return this.#position === this.bytes.length;
  }

  byte(): number {
    return this.#take(1)[0] ?? 0;
  }

  boolean(): boolean {
    return this.byte() !== 0;
  }

  uint32(): number {
    return this.#take(4).readUInt32BE(0);
  }

  uint64(): bigint {
    return this.#take(8).readBigUInt64BE(0);
  }

  string(): Buffer {
    return this.#take(this.uint32());
  }

  /** A `string` that must be UTF-8. */
  text(): string {
    const bytes = this.string();
    if (!isUtf8(bytes)) throw this.#malformed("holds text that is not UTF-8");
    return bytes.toString("utf8");
  }

  /** A non-negative `mpint` in its shortest form, without the sign byte, left-padded with zeros to `length` bytes. */
  mpint(length: number): Buffer {
    const bytes = this.string();
    const [first = 0, second = 0] = bytes;
    if (first >= 0x80) throw this.#malformed("holds a negative number");
    if (bytes.length > 0 && first === 0 && second < 0x80) throw this.#malformed("holds a number with needless zeros");
    const magnitude = first === 0 ? bytes.subarray(1) : bytes;
    if (magnitude.length > length) throw this.#malformed(`holds a number of more than ${length} bytes`);
    return Buffer.concat([Buffer.alloc(length - magnitude.length), magnitude]);
  }

  /** Checks that nothing is left. */
  end(): void {
    if (!this.isAtEnd) throw this.#malformed(`has ${this.bytes.length - this.#position} bytes too many`);
  }

  #take(length: number): Buffer {
    const end = this.#position + length;
    if (end > this.bytes.length) throw this.#malformed("is cut short");
    const taken = this.bytes.subarray(this.#position, end);
    this.#position = end;
    return taken;
  }

  #malformed(problem: string): MezError {
    return new MezError("SSH_MALFORMED", `the SSH ${this.what} ${problem}`);
  }
}

/** Writes an SSH `uint32`. */
export function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Writes an SSH `uint64`. */
export function uint64(value: bigint): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

/** Writes an SSH `string`: length, then bytes; text goes out as UTF-8. */
export function string(value: Buffer | string): Buffer {
  const bytes = typeof value === "string" ? Buffer.from(value, "utf8") : value;
  const framed = Buffer.allocUnsafe(4 + bytes.length);
  framed.writeUInt32BE(bytes.length);
  framed.set(bytes, 4);
  return framed;
}

/** Writes a non-negative big-endian number as an SSH `mpint` in its shortest form. */
export function mpint(magnitude: Buffer): Buffer {
  let start = 0;
  while (start < magnitude.length && magnitude[start] === 0) start++;
  const shortest = magnitude.subarray(start);
  const [first = 0] = shortest;
  return string(first >= 0x80 ? Buffer.concat([Buffer.of(0), shortest]) : shortest);
}
