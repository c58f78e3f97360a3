import type { Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls, type SecureContext, TLSSocket } from "node:tls";
import { uint32 } from "../ssh/wire.js";
import { RecordStream } from "./record-stream.js";

/**
 * TLS at the beginning of a TCP connection that goes on without it. Inside, each end says one frame (`uint32 length`, then so
 * many bytes) and hears one: first the client, then the server. Whatever else comes ends the connection, and so does an end
 * of either side. How long it may take is the caller's affair: who destroys the connection ends every wait.
 */
export class TlsPrelude {
  #frame: Buffer | null = null;
  #heard: Buffer = Buffer.alloc(0);
  #failure: Error | null = null;
  #isLeft = false;
  #onChange: () => void = () => undefined;

  private constructor(
    readonly tcp: Socket,
    /** For what TLS knows: the certificate of the other end, the ALPN name, exported keys. Bytes are read and written here. */
    readonly tls: TLSSocket,
    private readonly records: RecordStream,
    private readonly maxBytes: number,
  ) {
    tcp.on("error", () => undefined); // `close` follows, which `records` hears
    tls.on("data", (bytes: Buffer) => this.#hear(bytes));
    tls.on("error", (error: Error) => this.#fail(error));
    tls.on("end", () => this.#fail(new Error(CLOSED)));
    tls.on("close", () => this.#fail(records.errored ?? new Error(CLOSED)));
  }

  /**
   * The server's side, of a connection of which nothing has been read but what was put back.
   * @param alpn The one name (RFC 7301) that is spoken; a client that names others is sent away.
   * @param maxBytes Longest frame that the client may say.
   * @throws when the handshake fails or the connection ends; it is closed then
   */
  static accept(tcp: Socket, secureContext: SecureContext, alpn: string, maxBytes: number): Promise<TlsPrelude> {
    const records = new RecordStream(tcp);
    const tls = new TLSSocket(records, { isServer: true, secureContext, ALPNProtocols: [alpn] });
    return new TlsPrelude(tcp, tls, records, maxBytes).#secured("secure", alpn);
  }

  /**
   * The client's side.
   * @param options For `tls.connect`: what the server is checked by. The TCP connection stands already.
   * @param maxBytes Longest frame that the server may say.
   * @throws when the handshake fails, the server does not speak `alpn` or the connection ends; it is closed then
   */
  static dial(tcp: Socket, options: ConnectionOptions, alpn: string, maxBytes: number): Promise<TlsPrelude> {
    const records = new RecordStream(tcp);
    // Said here, or the person's environment could turn it off (NODE_TLS_REJECT_UNAUTHORIZED).
    const own = { socket: records, ALPNProtocols: [alpn], minVersion: "TLSv1.3", rejectUnauthorized: true } as const;
    const tls = connectTls({ ...options, ...own });
    return new TlsPrelude(tcp, tls, records, maxBytes).#secured("secureConnect", alpn);
  }

  /**
   * The frame of the other end.
   * @throws when it is longer than allowed, or the connection ends before
   */
  async hear(): Promise<Buffer> {
    while (this.#frame === null && this.#failure === null) await this.#changed();
    if (this.#frame === null || this.#failure !== null) throw this.#failure;
    return this.#frame;
  }

  /** Says our frame; resolves when the system has all of it. */
  async say(content: Buffer): Promise<void> {
    const frame = Buffer.concat([uint32(content.length), content]);
    await new Promise<void>((resolve) => {
      this.#onChange = resolve;
      this.tls.write(frame, () => resolve());
    });
    if (this.#failure !== null) throw this.#failure;
  }

  /**
   * Says our frame, which is the last, and leaves TLS without a word: what comes from now on is bare.
   * @throws when the other end has not waited for it, or is gone
   */
  async sayLast(content: Buffer): Promise<Socket> {
    this.#stop();
    await this.say(content);
    return this.#drop();
  }

  /**
   * Leaves TLS after the other end's last frame.
   * @throws when more than that has come
   */
  leave(): Socket {
    this.#stop();
    return this.#drop();
  }

  async #secured(event: "secure" | "secureConnect", alpn: string): Promise<this> {
    let isSecure = false;
    this.tls.once(event, () => {
      isSecure = true;
      if (this.tls.alpnProtocol !== alpn) this.#fail(new Error(`the other end does not speak ${alpn}`));
      this.#onChange();
    });
    while (!isSecure && this.#failure === null) await this.#changed();
    if (this.#failure !== null) throw this.#failure;
    return this;
  }

  #hear(bytes: Buffer): void {
    this.#heard = this.#heard.length === 0 ? bytes : Buffer.concat([this.#heard, bytes]);
    if (this.#heard.length < LENGTH_BYTES) return;
    const length = this.#heard.readUInt32BE(0);
    if (length > this.maxBytes) return this.#fail(new Error(`a message of ${length} bytes is too long`));
    if (this.#heard.length > LENGTH_BYTES + length) return this.#fail(new Error("the other end said more than one message"));
    if (this.#heard.length < LENGTH_BYTES + length) return;
    this.#frame = this.#heard.subarray(LENGTH_BYTES);
    this.#onChange();
  }

  #stop(): void {
    if (!this.records.stop()) this.#fail(new Error("the other end did not wait for its turn"));
    if (this.#failure !== null) throw this.#failure;
  }

  #drop(): Socket {
    this.#isLeft = true;
    this.tls.on("error", () => undefined).destroy();
    this.records.on("error", () => undefined).destroy();
    return this.tcp;
  }

  #fail(error: Error): void {
    if (this.#isLeft || this.#failure !== null) return;
    this.#failure = error;
    this.tls.destroy();
    this.records.destroy();
    this.tcp.destroySoon(); // what TLS has to say about it goes out first
    this.#onChange();
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#onChange = resolve;
    });
  }
}

// --- internal ---

const LENGTH_BYTES = 4;
const CLOSED = "the connection was closed during the handshake";
