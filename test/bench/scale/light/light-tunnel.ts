import { randomBytes } from "node:crypto";
import { getPackedSettings } from "node:http2";
import type { Duplex } from "node:stream";
import { BackOff } from "../../../../core/time/back-off.js";
import { dialBareStream } from "../../../../core/tunnel/bare-stream.js";
import { DialPatience } from "../../../../core/tunnel/dial-patience.js";
import { parseStreamHeaders, type TunnelStreamInfo } from "../../../../core/tunnel/stream-headers.js";
import {
  ANSWER_SECONDS,
  HANDSHAKE_SECONDS,
  HTTP2_OPTIONS,
  PING_INTERVAL_SECONDS,
} from "../../../../core/tunnel/tunnel-protocol.js";
import type { HeaderDecoder } from "./header-decoder.js";
import { FLAG, FRAME, type Frame, FrameReader, frame, PREFACE } from "./http2-frames.js";
import { LightTls, type LightTlsOptions } from "./light-tls.js";

export interface LightTunnelOptions extends Pick<LightTlsOptions, "port" | "hello" | "keyShare" | "identity"> {
  readonly decoder: HeaderDecoder;
  /** Has a session's connection, which was dialled back without TLS. */
  readonly onStream: (stream: Duplex, info: TunnelStreamInfo) => void;
  /** The proxy has greeted and answered. */
  readonly onOpen: () => void;
}

/** An agent's tunnel as `core/tunnel/tunnel-agent.ts` keeps it: same settings, pings and waits between attempts. */
export class LightTunnel {
  readonly #patience = new DialPatience(ANSWER_SECONDS);
  readonly #backOff = new BackOff(FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS, Math.random);
  #tls: LightTls | null = null;
  #isOpen = false;
  #isPinged = false;
  #hasGreeted = false;
  #hasAnswered = false;
  #isOver = false;

  constructor(private readonly options: LightTunnelOptions) {}

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Dials, and again whenever it is lost. */
  open(): void {
    const { port, hello, keyShare, identity } = this.options;
    const frames = new FrameReader((each) => this.#take(each), PREFACE.length);
    let isSilent = false;
    let limit = setTimeout(() => this.#tls?.destroy(), HANDSHAKE_SECONDS * 1000);
    let pings: NodeJS.Timeout | null = null;
    this.#tls = new LightTls({
      ...{ port, hello, keyShare, identity },
      onConnect: () => {
        clearTimeout(limit);
        limit = setTimeout(() => {
          isSilent = true;
          this.#tls?.destroy();
        }, this.#patience.seconds * 1000);
      },
      onSecure: () => {
        this.#tls?.write(GREETING);
        pings = setInterval(() => this.#beat(), PING_INTERVAL_SECONDS * 1000);
      },
      onData: (bytes) => {
        frames.read(bytes);
        if (this.#isOpen) clearTimeout(limit);
      },
      onClose: () => {
        clearTimeout(limit);
        if (isSilent) this.#patience.silent();
        else this.#patience.heard();
        if (pings !== null) clearInterval(pings);
        this.#isOpen = this.#isPinged = this.#hasGreeted = this.#hasAnswered = false;
        if (!this.#isOver) setTimeout(() => this.open(), this.#backOff.nextSeconds() * 1000);
      },
    });
  }

  /** Ends it, and does not dial again. */
  close(): void {
    this.#isOver = true;
    this.#tls?.destroy();
  }

  #take({ type, flags, stream, payload }: Frame): void {
    if (type === FRAME.settings && (flags & FLAG.ack) === 0) {
      this.#tls?.write(SETTINGS_ACK);
      if (!this.#hasGreeted) this.#ping();
      this.#hasGreeted = true;
    } else if (type === FRAME.ping && (flags & FLAG.ack) === 0) this.#tls?.write(frame(FRAME.ping, FLAG.ack, 0, payload));
    else if (type === FRAME.ping) this.#answered();
    else if (type === FRAME.goaway) this.#tls?.destroy();
    else if (type === FRAME.headers) void this.#receive(stream, Buffer.from(payload));
  }

  #answered(): void {
    this.#isPinged = false;
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#backOff.reset();
    this.options.onOpen();
  }

  #beat(): void {
    if (this.#isPinged) this.#tls?.destroy();
    else this.#ping();
  }

  #ping(): void {
    this.#isPinged = true;
    this.#tls?.write(frame(FRAME.ping, 0, 0, randomBytes(8)));
  }

  async #receive(request: number, block: Buffer): Promise<void> {
    const tls = this.#tls;
    const answer = (status: number): void => {
      const block = Buffer.concat([this.#hasAnswered ? NO_BYTES : EMPTY_TABLE, answerOf(status)]);
      this.#hasAnswered = true;
      tls?.write(frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, request, block));
    };
    try {
      const { key, secret, info } = parseStreamHeaders(await this.options.decoder.decode(block));
      if (secret === null) return answer(502);
      const address = `127.0.0.1:${this.options.port}`;
      const stream = await dialBareStream({ key, secret }, { address, handshakeSeconds: BARE_HANDSHAKE_SECONDS });
      answer(200);
      this.options.onStream(stream, info);
    } catch {
      answer(502);
    }
  }
}

// --- internal ---

// The figures of `core/tunnel/tunnel-agent.ts` and `core/tunnel/agent-link.ts`.
const FIRST_RETRY_SECONDS = 0.5;
const MAX_RETRY_SECONDS = 4;
const BARE_HANDSHAKE_SECONDS = 3;

const GREETING = frame(FRAME.settings, 0, 0, getPackedSettings(HTTP2_OPTIONS.settings));
const NO_BYTES = Buffer.alloc(0);
/** What the first block says after the proxy has asked for no table. @see RFC 7541, 4.2 */
const EMPTY_TABLE = Buffer.from([0x20]);
const SETTINGS_ACK = frame(FRAME.settings, FLAG.ack, 0);

/** A header block that keeps nothing in a table: status and date, as Node sends them. @see RFC 7541, 6.2.2 */
function answerOf(status: number): Buffer {
  const [code, date] = [String(status), new Date().toUTCString()];
  const literal = (nameIndex: readonly number[], text: string): Buffer =>
    Buffer.from([...nameIndex, text.length, ...Buffer.from(text)]);
  return Buffer.concat([status === 200 ? Buffer.from([0x88]) : literal([8], code), literal([0x0f, 33 - 15], date)]);
}
