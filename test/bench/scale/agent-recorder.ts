import { once } from "node:events";
import {
  connect as connectHttp2,
  createServer as createHttp2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import { HTTP2_OPTIONS, TUNNEL_ALPN, type TunnelCredentials, tunnelTlsOptions } from "../../../core/tunnel/tunnel-protocol.js";
import { WatchMessage, WatchServiceService } from "../../../proto/gen/mezite/core/v1/watch.js";
import { AgentServiceService } from "../../../proto/gen/mezite/nodes/v1/nodes.js";
import { SessionServiceService } from "../../../proto/gen/mezite/sessions/v1/sessions.js";
import { ClientHello } from "./light/client-hello.js";
import { FRAME, FrameReader, PREFACE } from "./light/http2-frames.js";

/** What an agent did on one connection. */
export interface RecordedConnection {
  readonly alpn: string;
  readonly cipher: string;
  readonly certificate: Buffer;
  /** The first record, without what is another one each time. */
  readonly hello: Buffer;
  /** Type, flags and stream of each frame, with what settings and window updates say. */
  readonly frames: string[];
}

/** One call of an agent. */
export interface RecordedCall {
  readonly headers: IncomingHttpHeaders;
  /** As JSON would have it. */
  readonly request: unknown;
}

/** Auth service and proxy for one agent, on one port, that answer and write down. */
export class AgentRecorder {
  readonly connections: RecordedConnection[] = [];
  readonly calls: RecordedCall[] = [];
  /** Ways to say something more to who watches. */
  readonly watchers: ((message: WatchMessage) => void)[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  private constructor(
    credentials: TunnelCredentials,
    private readonly snapshot: readonly WatchMessage[],
  ) {
    const tls = createTlsServer({ ...tunnelTlsOptions(credentials), requestCert: true, ALPNProtocols: ["h2", TUNNEL_ALPN] });
    tls.on("tlsClientError", () => undefined);
    const hellos = new Map<number | undefined, Buffer>();
    tls.on("secureConnection", (socket) => this.#welcome(socket, hellos.get(socket.remotePort) ?? Buffer.alloc(0)));
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => undefined);
      socket.once("data", (record) => {
        hellos.set(socket.remotePort, ClientHello.parse(record).common);
        socket.pause();
        socket.unshift(record);
        tls.emit("connection", socket);
      });
    });
  }

  /** @param snapshot What a watch stream begins with. */
  static async start(credentials: TunnelCredentials, snapshot: readonly WatchMessage[]): Promise<AgentRecorder> {
    const recorder = new AgentRecorder(credentials, snapshot);
    recorder.#server.listen(0, "127.0.0.1");
    await once(recorder.#server, "listening");
    return recorder;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #welcome(socket: TLSSocket, hello: Buffer): void {
    socket.on("error", () => undefined);
    const isTunnel = socket.alpnProtocol === TUNNEL_ALPN;
    const connection = {
      ...{ alpn: String(socket.alpnProtocol), cipher: socket.getCipher().name, hello, frames: [] as string[] },
      certificate: socket.getPeerX509Certificate()?.raw ?? Buffer.alloc(0),
    };
    this.connections.push(connection);
    const frames = new FrameReader(
      ({ type, flags, stream, payload }) => {
        const isTold = type === FRAME.settings || type === FRAME.windowUpdate;
        connection.frames.push(`${type} ${flags} ${stream} ${isTold ? payload.toString("hex") : ""}`.trimEnd());
      },
      isTunnel ? 0 : PREFACE.length,
    );
    const heard = new Duplex({
      read: () => undefined,
      write: (bytes, _encoding, done) => void socket.write(bytes, () => done()),
    });
    socket.on("data", (bytes: Buffer) => {
      frames.read(bytes);
      heard.push(bytes);
    });
    socket.once("close", () => heard.destroy());
    if (isTunnel) connectHttp2("https://agent", { ...HTTP2_OPTIONS, createConnection: () => heard }).on("error", () => undefined);
    else this.#answerCalls(heard);
  }

  #answerCalls(wire: Duplex): void {
    const server = createHttp2Server();
    server.on("session", (session) => session.on("error", () => undefined));
    server.on("stream", (stream, headers) => {
      stream.on("error", () => undefined);
      let request = Buffer.alloc(0);
      stream.on("data", (bytes: Buffer) => {
        request = Buffer.concat([request, bytes]);
      });
      stream.once("end", () => this.#answer(stream, headers, request.subarray(PREFIX_BYTES)));
    });
    server.emit("connection", wire);
  }

  #answer(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, request: Buffer): void {
    const method = METHODS.find(({ path }) => path === headers[":path"]);
    this.calls.push({ headers, request: method?.requestDeserialize(request) });
    const send = (message: Buffer): void => void stream.write(framed(message));
    stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
    stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    if (method === WatchServiceService.watch) {
      for (const message of this.snapshot) send(Buffer.from(WatchMessage.encode(message).finish()));
      this.watchers.push((message) => send(Buffer.from(WatchMessage.encode(message).finish())));
      return;
    }
    if (method === SessionServiceService.report) {
      const isFirst =
        this.calls.filter(({ headers: { ":path": path } }) => path === SessionServiceService.report.path).length === 1;
      stream.end(framed(SessionServiceService.report.responseSerialize({ sendLive: isFirst, refused: [] })));
    } else if (method === AgentServiceService.registerAgent) {
      const duties = { heartbeatIntervalSeconds: 1, renewalSpreadMilliseconds: 1_000 };
      // Later than the snapshot, so that all that it causes has happened.
      setTimeout(() => stream.end(framed(AgentServiceService.registerAgent.responseSerialize(duties))), REGISTERING_MS);
    } else stream.end(framed(Buffer.alloc(0)));
  }
}

// --- internal ---

const PREFIX_BYTES = 5;
const REGISTERING_MS = 300;
const METHODS = [
  ...[WatchServiceService.watch, AgentServiceService.registerAgent, AgentServiceService.agentHeartbeat],
  SessionServiceService.report,
] as const;

function framed(message: Buffer): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}
