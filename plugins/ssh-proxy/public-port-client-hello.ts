/** What the beginning of a TLS connection tells: the protocols of its ALPN list, or that more is needed, or that it is none. */
export type HelloReading =
  | { readonly kind: "hello"; readonly protocols: readonly string[] }
  | { readonly kind: "incomplete" }
  | { readonly kind: "malformed" };

/** Longest ClientHello that is read, with the headers of its records; real ones have 2 KB at most. */
export const MAX_HELLO_BYTES = 16_384;

/**
 * Reads the ALPN list (RFC 7301) of a ClientHello without taking part in the handshake.
 * @param bytes What the client has sent so far, from the first byte; what follows the ClientHello is not looked at.
 * @see RFC 8446, 4.1.2 and 5.1
 */
export function readClientHello(bytes: Buffer): HelloReading {
  try {
    const message = handshakeMessage(bytes);
    if (message !== null) return { kind: "hello", protocols: alpnOf(message) };
    return bytes.length < MAX_HELLO_BYTES ? { kind: "incomplete" } : { kind: "malformed" };
  } catch (error) {
    if (error instanceof Malformed) return { kind: "malformed" };
    throw error;
  }
}

// --- internal ---

const RECORD_HANDSHAKE = 22;
const RECORD_HEADER_BYTES = 5;
const MAX_FRAGMENT_BYTES = 16_384; // RFC 8446, 5.1
const MAX_RECORDS = 16; // one is usual
const CLIENT_HELLO = 1;
const MESSAGE_HEADER_BYTES = 4;
const ALPN_EXTENSION = 16; // RFC 7301, 3.1

class Malformed extends Error {}

/** The body of the ClientHello, put together from as many records as it takes; `null` when it is not all there. */
function handshakeMessage(bytes: Buffer): Buffer | null {
  const fragments: Buffer[] = [];
  let length = 0;
  let end = Number.POSITIVE_INFINITY;
  for (let at = 0; at < bytes.length; ) {
    const fragment = fragmentAt(bytes, at);
    if (fragment === null) return null;
    require(fragments.push(fragment.bytes) <= MAX_RECORDS);
    length += fragment.bytes.length;
    if (length >= MESSAGE_HEADER_BYTES && end === Number.POSITIVE_INFINITY) end = messageEnd(Buffer.concat(fragments));
    if (length >= end) return Buffer.concat(fragments).subarray(MESSAGE_HEADER_BYTES, end);
    at = fragment.next;
  }
  return null;
}

/** What is there of the record at `at`; `null` when its header is not. */
function fragmentAt(bytes: Buffer, at: number): { readonly bytes: Buffer; readonly next: number } | null {
  const header = bytes.subarray(at, at + RECORD_HEADER_BYTES);
  require(header[0] === RECORD_HANDSHAKE && (header[1] ?? 3) === 3);
  if (header.length < RECORD_HEADER_BYTES) return null;
  const length = header.readUInt16BE(3);
  require(length > 0 && length <= MAX_FRAGMENT_BYTES);
  const start = at + RECORD_HEADER_BYTES;
  return { bytes: bytes.subarray(start, start + length), next: start + length };
}

function messageEnd(message: Buffer): number {
  require(message[0] === CLIENT_HELLO);
  const end = MESSAGE_HEADER_BYTES + message.readUIntBE(1, 3);
  require(end <= MAX_HELLO_BYTES);
  return end;
}

function alpnOf(hello: Buffer): readonly string[] {
  const fields = new Fields(hello);
  fields.take(2 + 32); // version and random
  require(fields.vector(1).length <= 32); // session id
  const suites = fields.vector(2);
  require(suites.length >= 2 && suites.length % 2 === 0);
  require(fields.vector(1).length >= 1); // compression methods
  if (fields.isEmpty) return [];
  const extensions = new Fields(fields.vector(2));
  require(fields.isEmpty);
  const seen = new Set<number>();
  let protocols: readonly string[] = [];
  while (!extensions.isEmpty) {
    const type = extensions.take(2).readUInt16BE();
    const content = extensions.vector(2);
    require(!seen.has(type));
    seen.add(type);
    if (type === ALPN_EXTENSION) protocols = protocolNames(content);
  }
  return protocols;
}

function protocolNames(content: Buffer): readonly string[] {
  const extension = new Fields(content);
  const list = new Fields(extension.vector(2));
  require(extension.isEmpty && !list.isEmpty);
  const names: string[] = [];
  while (!list.isEmpty) {
    const name = list.vector(1);
    require(name.length > 0);
    names.push(name.toString("latin1"));
  }
  return names;
}

/** Fields one after the other, none of them beyond the end. */
class Fields {
  #at = 0;

  constructor(private readonly bytes: Buffer) {}

  get isEmpty(): boolean {
    return this.#at === this.bytes.length;
  }

  take(length: number): Buffer {
    require(this.#at + length <= this.bytes.length);
    this.#at += length;
    return this.bytes.subarray(this.#at - length, this.#at);
  }

  /** One that begins with its length in `lengthBytes` bytes. */
  vector(lengthBytes: 1 | 2): Buffer {
    return this.take(this.take(lengthBytes).readUIntBE(0, lengthBytes));
  }
}

function require(isSo: boolean): asserts isSo {
  if (!isSo) throw new Malformed();
}
