import { type IncomingHttpHeaders, performServerHandshake, type ServerHttp2Stream } from "node:http2";
import { Duplex } from "node:stream";
import { HTTP2_OPTIONS } from "../../../../core/tunnel/tunnel-protocol.js";
import { FLAG, FRAME, frame, PREFACE } from "./http2-frames.js";

/**
 * Reads the header blocks of all tunnels of a process with one HTTP/2 session of Node's own. It can, since by its settings an agent
 * lets a proxy keep no table: each block says everything.
 */
export class HeaderDecoder {
  readonly #waiting: ((headers: IncomingHttpHeaders) => void)[] = [];
  readonly #wire = new Duplex({ read: () => undefined, write: (_bytes, _encoding, done) => done() });
  #stream = -1;

  constructor() {
    const session = performServerHandshake(this.#wire, HTTP2_OPTIONS);
    session.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      stream.respond({ ":status": 200 }, { endStream: true });
      this.#waiting.shift()?.(headers);
    });
    this.#wire.push(Buffer.concat([PREFACE, frame(FRAME.settings, 0, 0), frame(FRAME.settings, FLAG.ack, 0)]));
  }

  decode(block: Buffer): Promise<IncomingHttpHeaders> {
    this.#stream += 2;
    const decoded = new Promise<IncomingHttpHeaders>((resolve) => void this.#waiting.push(resolve));
    this.#wire.push(frame(FRAME.headers, FLAG.endStream | FLAG.endHeaders, this.#stream, block));
    return decoded;
  }
}
