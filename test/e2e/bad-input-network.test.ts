import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { DIRECT_ALPN } from "../../core/tunnel/direct-route.js";
import { Cluster } from "../fixtures/cluster.js";

type Door = "auth" | "ssh" | "tunnel";

const DOORS: readonly Door[] = ["auth", "ssh", "tunnel"];

const GARBAGE: readonly (readonly [what: string, bytes: Buffer])[] = [
  ["random bytes", randomBytes(70_000)],
  ["zeros", Buffer.alloc(65_536)],
  ["a web request", Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n")],
  ["an SSH banner without end", Buffer.from(`SSH-2.0-${"a".repeat(65_536)}\r\n`)],
  ["SSH 1", Buffer.from("SSH-1.5-old\r\n")],
  ["a packet length of 4 GiB", Buffer.concat([Buffer.from("SSH-2.0-x\r\n"), Buffer.alloc(64, 0xff)])],
];

const TLS: readonly (readonly [door: Door, options: ConnectionOptions, code: string])[] = [
  ["auth", { maxVersion: "TLSv1.2" }, "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION"],
  ["auth", { ALPNProtocols: ["http/1.1"] }, "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL"],
  ["tunnel", { maxVersion: "TLSv1.2" }, "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION"],
  ["tunnel", { ALPNProtocols: ["h2"] }, "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL"],
  ["tunnel", {}, "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED"],
  ["ssh", { maxVersion: "TLSv1.2", ALPNProtocols: [DIRECT_ALPN] }, "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION"],
  ["ssh", { ALPNProtocols: ["h2"] }, "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL"],
  ["ssh", {}, "nothing"],
];

const LOGIN = "/mezite.authentication.v1.AuthenticationService/AuthenticateLocal";

/** gRPC statuses: 3 invalid argument, 8 resource exhausted, 12 unimplemented, 13 internal, 16 unauthenticated. */
const MESSAGES: readonly (readonly [what: string, path: string, body: Buffer, status: number])[] = [
  ["a user name with a NUL byte", LOGIN, framed(Buffer.from([0x0a, 3, 0x61, 0, 0x62, 0x12, 1, 0x78])), 3],
  ["eight megabytes", LOGIN, framed(Buffer.alloc(8_000_000, 0x61)), 8],
  ["a length that lies", LOGIN, Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 1]), 8],
  ["compression that nobody agreed on", LOGIN, Buffer.from([1, 0, 0, 0, 2, 1, 2]), 13],
  ["an unknown method", "/mezite.nothing.v1.Nothing/Do", framed(Buffer.alloc(0)), 12],
  ["no session", "/mezite.users.v1.UserService/ListUsers", framed(Buffer.alloc(0)), 16],
];

describe("bad bytes at the doors", () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await Cluster.start();
  });
  after(() => cluster.stop());

  for (const door of DOORS) {
    for (const [what, bytes] of GARBAGE) {
      test(`the ${door} port hangs up on ${what}`, () => hungUp(cluster.ports[door], bytes));
    }
  }

  for (const [door, options, code] of TLS) {
    test(`the ${door} port answers ${JSON.stringify(options)} with ${code}`, async () => {
      assert.equal(await tlsFailure(cluster.ports[door], options), code);
    });
  }

  test("refuses each bad message with its status", async () => {
    for (const [what, path, body, status] of MESSAGES)
      assert.equal(await grpcStatus(cluster.ports.auth, path, body), status, what);
  });

  test("serves people while a hundred half-open connections hold each door", async () => {
    const idle = DOORS.flatMap((door) =>
      Array.from({ length: 100 }, () => connect(cluster.ports[door], "localhost").on("error", () => {})),
    );
    assert.equal(cluster.ssh([`${cluster.login}@${cluster.nodeName}`, "true"]).code, 0);
    assert.equal(cluster.mezctl(["users", "list"]).code, 0);
    for (const socket of idle) socket.destroy();
  });

  test("writes no stack to its log", () => assert.doesNotMatch(cluster.server.output, /unhandled|TypeError|\\n\s+at /));
});

function hungUp(port: number, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, "localhost", () => void socket.write(bytes));
    socket
      .on("error", () => {})
      .on("close", () => resolve())
      .resume();
  });
}

function tlsFailure(port: number, options: ConnectionOptions): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connectTls({ port, host: "localhost", rejectUnauthorized: false, ...options });
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code));
    socket.once("close", () => resolve("nothing"));
    socket.resume();
  });
}

function framed(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

function grpcStatus(port: number, path: string, body: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`https://localhost:${port}`, { rejectUnauthorized: false }).on("error", reject);
    const call = session.request({ ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" });
    let status = -1;
    const read = (headers: Readonly<Record<string, unknown>>): void => {
      if (headers["grpc-status"] !== undefined) status = Number(headers["grpc-status"]);
    };
    call.on("response", read).on("trailers", read).on("error", reject).resume();
    call.once("end", () => {
      session.close();
      resolve(status);
    });
    call.end(body);
  });
}
