/** A header and its value, name in lower case. */
export type Header = readonly [name: string, value: string];

/**
 * Writes header blocks as Node does: what the static table does not have is kept in the table of the connection, but for paths, so
 * that the server's memory and work are those of a real client. Strings are not compressed.
 * @see RFC 7541
 */
export class HeaderEncoder {
  /** Newest first. */
  readonly #table: string[] = [];
  #tableBytes = 0;

  encode(headers: readonly Header[]): Buffer {
    return Buffer.concat(headers.map(([name, value]) => this.#encodeOne(name, value)));
  }

  #encodeOne(name: string, value: string): Buffer {
    const entry = `${name}: ${value}`;
    const whole = STATIC.get(entry);
    if (whole !== undefined) return Buffer.from([INDEXED | whole]);
    const nameIndex = STATIC.get(name);
    if (name === ":path" && nameIndex !== undefined) return Buffer.concat([Buffer.from([nameIndex]), text(value)]);
    const at = this.#table.indexOf(entry);
    if (at !== -1) return integer(INDEXED, 7, STATIC_ENTRIES + 1 + at);
    const known = nameIndex ?? this.#nameIndex(name);
    this.#keep(entry, name.length + value.length + ENTRY_BYTES);
    const begin = integer(LITERAL_INDEXED, 6, known ?? 0);
    return Buffer.concat(known === undefined ? [begin, text(name), text(value)] : [begin, text(value)]);
  }

  #nameIndex(name: string): number | undefined {
    const at = this.#table.findIndex((entry) => entry.startsWith(`${name}: `));
    return at === -1 ? undefined : STATIC_ENTRIES + 1 + at;
  }

  #keep(entry: string, bytes: number): void {
    this.#table.unshift(entry);
    this.#tableBytes += bytes;
    while (this.#tableBytes > TABLE_BYTES) this.#tableBytes -= (this.#table.pop()?.length ?? 0) - ": ".length + ENTRY_BYTES;
  }
}

// --- internal ---

const STATIC_ENTRIES = 61;
const TABLE_BYTES = 4_096; // RFC 9113, 6.5.2: SETTINGS_HEADER_TABLE_SIZE
const ENTRY_BYTES = 32; // RFC 7541, 4.1
const INDEXED = 0x80;
const LITERAL_INDEXED = 0x40;

/** Of the static table what a gRPC client uses. @see RFC 7541, appendix A */
const STATIC: ReadonlyMap<string, number> = new Map([
  [":authority", 1],
  [":method: POST", 3],
  [":path", 4],
  [":scheme: https", 7],
  ["accept-encoding", 16],
  ["content-type", 31],
  ["user-agent", 58],
]);

/** @see RFC 7541, 5.1 */
function integer(flags: number, prefixBits: number, value: number): Buffer {
  const limit = 2 ** prefixBits - 1;
  if (value < limit) return Buffer.from([flags | value]);
  const bytes = [flags | limit];
  let rest = value - limit;
  for (; rest >= 128; rest >>= 7) bytes.push((rest & 127) | 128);
  return Buffer.from([...bytes, rest]);
}

function text(value: string): Buffer {
  return Buffer.concat([integer(0, 7, value.length), Buffer.from(value, "latin1")]);
}
