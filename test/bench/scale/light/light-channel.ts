import { randomBytes } from "node:crypto";
import { type Header, HeaderEncoder } from "./header-encoder.js";
import { FLAG, FRAME, type Frame, FrameReader, frame, PREFACE, windowUpdate } from "./http2-frames.js";
import { LightTls, type LightTlsOptions } from "./light-tls.js";

export interface LightChannelOptions extends Pick<LightTlsOptions, "port" | "hello" | "keyShare" | "identity"> {
  /** `host:port` as the agent was told. */
  readonly authority: string;
  readonly userAgent: string;
}

/**
 * A gRPC connection as `core/rpc/client.ts` has it with one address: same settings, headers, windows, time limits, keepalive and waits
 * between attempts. It opens with the first call. Requests and answers are messages as bytes; a call without one has failed, whatever the reason.
 */
export class LightChannel {
  readonly #calls = new Map<number, Call>();
  #waiting: Call[] = [];
  #state: "idle" | "connecting" | "ready" | "failing" | "closed" = "idle";
  #tls: LightTls | null = null;
  #headers = new HeaderEncoder();
  #nextStream = 1;
  #unacknowledged = 0;
  #failures = 0;
  #keepalive: NodeJS.Timeout | null = null;
  #isPinged = false;
  /** Connections that it tried to open, and calls that got no answer, in the whole process. */
  static readonly totals = { connections: 0, failures: 0 };

  constructor(private readonly options: LightChannelOptions) {}

  /** One request, one answer. @throws {Error} when none came in 20 s, or the call failed */
  unary(path: string, request: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      let answer: Buffer | null = null;
      const timer = setTimeout(() => cancel(), CALL_TIMEOUT_MS);
      const cancel = this.#start({
        ...{ path, request, deadline: Date.now() + CALL_TIMEOUT_MS },
        onMessage: (message) => {
          answer = Buffer.from(message);
        },
        onEnd: () => {
          clearTimeout(timer);
          if (answer !== null) return resolve(answer);
          LightChannel.totals.failures += 1;
          reject(new Error(`${path} failed`));
        },
      });
    });
  }

  /** One request, many answers. @returns The way to cancel, which is an end as well. */
  stream(path: string, request: Buffer, onMessage: (message: Buffer) => void, onEnd: () => void): () => void {
    return this.#start({ path, request, deadline: null, onMessage, onEnd });
  }

  close(): void {
    this.#state = "closed";
    this.#tls?.destroy();
  }

  #start(begun: Omit<Call, "stream" | "received" | "unacknowledged">): () => void {
    const call: Call = { ...begun, stream: 0, received: null, unacknowledged: 0 };
    if (this.#state === "ready") this.#send(call);
    else if (this.#state === "failing" || this.#state === "closed") setImmediate(() => call.onEnd());
    else this.#waiting.push(call);
    if (this.#state === "idle") this.#connect();
    return () => this.#cancel(call);
  }

  #cancel(call: Call): void {
    if (this.#waiting.includes(call)) {
      this.#waiting = this.#waiting.filter((each) => each !== call);
      call.onEnd();
    } else if (this.#calls.has(call.stream)) {
      this.#tls?.write(frame(FRAME.reset, 0, call.stream, CANCEL));
      this.#end(call);
    }
  }

  #connect(): void {
    LightChannel.totals.connections += 1;
    this.#state = this.#failures === 0 ? "connecting" : "failing";
    const { port, hello, keyShare, identity } = this.options;
    const frames = new FrameReader((each) => this.#take(each));
    this.#tls = new LightTls({
      ...{ port, hello, keyShare, identity },
      onSecure: () => this.#tls?.write(GREETING),
      onData: (bytes) => frames.read(bytes),
      onClose: () => this.#lost(),
    });
  }

  #ready(): void {
    this.#state = "ready";
    this.#failures = 0;
    this.#headers = new HeaderEncoder();
    this.#nextStream = 1;
    this.#unacknowledged = 0;
    for (const call of this.#waiting.splice(0)) this.#send(call);
  }

  #lost(): void {
    const wasReady = this.#state === "ready";
    this.#tls = null;
    this.#stopKeepalive();
    if (this.#state !== "closed") {
      if (!wasReady) this.#failures += 1;
      this.#state = wasReady ? "idle" : "failing";
      if (!wasReady) setTimeout(() => this.#state !== "closed" && this.#connect(), backOffMs(this.#failures));
    }
    for (const call of [...this.#waiting.splice(0), ...this.#calls.values()]) this.#end(call);
  }

  #send(call: Call): void {
    call.stream = this.#nextStream;
    this.#nextStream += 2;
    this.#calls.set(call.stream, call);
    const block = this.#headers.encode(this.#headersOf(call));
    const message = Buffer.allocUnsafe(PREFIX_BYTES + call.request.length);
    message[0] = 0;
    message.writeUInt32BE(call.request.length, 1);
    call.request.copy(message, PREFIX_BYTES);
    this.#tls?.write(
      Buffer.concat([
        frame(FRAME.headers, FLAG.endHeaders, call.stream, block),
        frame(FRAME.data, FLAG.endStream, call.stream, message),
      ]),
    );
    if (this.#keepalive === null) this.#keepalive = setTimeout(() => this.#ping(), KEEPALIVE_MS).unref();
  }

  #headersOf({ path, deadline }: Call): readonly Header[] {
    const { authority, userAgent } = this.options;
    const limit: readonly Header[] = deadline === null ? [] : [["grpc-timeout", `${Math.max(0, deadline - Date.now())}m`]];
    return [
      ...[
        [":authority", authority] as const,
        [":method", "POST"] as const,
        [":path", path] as const,
        [":scheme", "https"] as const,
      ],
      ...[["grpc-accept-encoding", "identity,deflate,gzip"] as const, ["accept-encoding", "identity"] as const, ...limit],
      ...[["user-agent", userAgent] as const, ["content-type", "application/grpc"] as const, ["te", "trailers"] as const],
    ];
  }

  #take({ type, flags, stream, payload }: Frame): void {
    if (type === FRAME.settings && (flags & FLAG.ack) === 0) {
      this.#tls?.write(SETTINGS_ACK);
      if (this.#state === "ready" || this.#state === "closed") return;
      this.#tls?.write(windowUpdate(0, WINDOW_BYTES - DEFAULT_WINDOW_BYTES));
      this.#ready();
    } else if (type === FRAME.ping) this.#takePing(flags, payload);
    else if (type === FRAME.goaway) this.#tls?.destroy();
    else if (type === FRAME.data) this.#takeData(this.#calls.get(stream), payload);
    const call = this.#calls.get(stream);
    if (call === undefined) return;
    const isOver = (type === FRAME.data || type === FRAME.headers) && (flags & FLAG.endStream) !== 0;
    if (isOver || type === FRAME.reset) this.#end(call);
  }

  #end(call: Call): void {
    this.#calls.delete(call.stream);
    call.onEnd();
  }

  /** Messages, each after its length, cut anywhere. */
  #takeData(call: Call | undefined, payload: Buffer): void {
    this.#unacknowledged += payload.length;
    if (this.#unacknowledged >= WINDOW_BYTES / 2) {
      this.#tls?.write(windowUpdate(0, this.#unacknowledged));
      this.#unacknowledged = 0;
    }
    if (call === undefined) return;
    call.unacknowledged += payload.length;
    if (call.unacknowledged >= WINDOW_BYTES / 2) {
      this.#tls?.write(windowUpdate(call.stream, call.unacknowledged));
      call.unacknowledged = 0;
    }
    let unread = call.received === null ? payload : Buffer.concat([call.received, payload]);
    call.received = null;
    while (unread.length >= PREFIX_BYTES) {
      const end = PREFIX_BYTES + unread.readUInt32BE(1);
      if (unread.length < end) break;
      call.onMessage(unread.subarray(PREFIX_BYTES, end));
      unread = unread.subarray(end);
    }
    if (unread.length > 0) call.received = Buffer.from(unread);
  }

  #takePing(flags: number, payload: Buffer): void {
    if ((flags & FLAG.ack) === 0) return this.#tls?.write(frame(FRAME.ping, FLAG.ack, 0, payload));
    this.#stopKeepalive();
    if (this.#calls.size > 0) this.#keepalive = setTimeout(() => this.#ping(), KEEPALIVE_MS).unref();
  }

  #ping(): void {
    this.#keepalive = null;
    if (this.#state !== "ready" || this.#isPinged) return;
    this.#isPinged = true;
    this.#tls?.write(frame(FRAME.ping, 0, 0, randomBytes(8)));
    this.#keepalive = setTimeout(() => this.#tls?.destroy(), KEEPALIVE_TIMEOUT_MS).unref();
  }

  #stopKeepalive(): void {
    if (this.#keepalive !== null) clearTimeout(this.#keepalive);
    this.#keepalive = null;
    this.#isPinged = false;
  }
}

// --- internal ---

interface Call {
  readonly path: string;
  readonly request: Buffer;
  /** Milliseconds since the epoch. */
  readonly deadline: number | null;
  readonly onMessage: (message: Buffer) => void;
  readonly onEnd: () => void;
  stream: number;
  /** The beginning of a message. */
  received: Buffer | null;
  /** Bytes for which the server has not been given room again. */
  unacknowledged: number;
}

// The figures of `core/rpc/client.ts` and `core/rpc/client-calls.ts`.
const WINDOW_BYTES = 1024 * 1024;
const CALL_TIMEOUT_MS = 20_000;
const KEEPALIVE_MS = 20_000;
const KEEPALIVE_TIMEOUT_MS = 10_000;
const FIRST_BACK_OFF_MS = 200;
const MAX_BACK_OFF_MS = 1_500;

const DEFAULT_WINDOW_BYTES = 65_535; // RFC 9113, 6.9.2
const PREFIX_BYTES = 5;
const CANCEL = Buffer.from([0, 0, 0, 8]); // RFC 9113, 7
const SETTINGS_ACK = frame(FRAME.settings, FLAG.ack, 0);
/** SETTINGS_INITIAL_WINDOW_SIZE is 4. */
const GREETING = Buffer.concat([PREFACE, frame(FRAME.settings, 0, 0, Buffer.from([0, 4, 0, WINDOW_BYTES >> 16, 0, 0]))]);

/** @see gRPC, connection-backoff.md */
function backOffMs(failures: number): number {
  return Math.min(MAX_BACK_OFF_MS, FIRST_BACK_OFF_MS * 1.6 ** (failures - 1)) * (0.8 + 0.4 * Math.random());
}
