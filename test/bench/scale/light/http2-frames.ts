/** Types of frames. @see RFC 9113, 6 */
export const FRAME = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

/** Flags of frames; the first one is called otherwise on settings and pings. */
export const FLAG = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 32 } as const;

/** What a client says first. @see RFC 9113, 3.4 */
export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export interface Frame {
  readonly type: number;
  readonly flags: number;
  /** 0 for the connection. */
  readonly stream: number;
  /** Of the bytes that were read: whoever keeps it copies it. */
  readonly payload: Buffer;
}

/** A frame as it goes over the wire. */
export function frame(type: number, flags: number, stream: number, payload: Buffer = EMPTY): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(stream, 5);
  payload.copy(bytes, HEADER_BYTES);
  return bytes;
}

/** Lets the other side send more. */
export function windowUpdate(stream: number, bytes: number): Buffer {
  const payload = Buffer.allocUnsafe(4);
  payload.writeUInt32BE(bytes);
  return frame(FRAME.windowUpdate, 0, stream, payload);
}

/** Cuts what comes into frames. */
export class FrameReader {
  #rest: Buffer | null = null;

  constructor(
    private readonly onFrame: (frame: Frame) => void,
    /** Bytes before the first one, the client's preface at a server. */
    private skip = 0,
  ) {}

  read(bytes: Buffer): void {
    let unread = this.#rest === null ? bytes : Buffer.concat([this.#rest, bytes]);
    this.#rest = null;
    const skipped = Math.min(this.skip, unread.length);
    this.skip -= skipped;
    unread = unread.subarray(skipped);
    while (unread.length >= HEADER_BYTES) {
      const end = HEADER_BYTES + unread.readUIntBE(0, 3);
      if (unread.length < end) break;
      const [type, flags] = [unread[3] ?? 0, unread[4] ?? 0];
      this.onFrame({ type, flags, stream: unread.readUInt32BE(5) & 0x7fff_ffff, payload: unread.subarray(HEADER_BYTES, end) });
      unread = unread.subarray(end);
    }
    if (unread.length > 0) this.#rest = Buffer.from(unread);
  }
}

// --- internal ---

const HEADER_BYTES = 9; // RFC 9113, 4.1
const EMPTY = Buffer.alloc(0);
