import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type Socket } from "node:net";
import { before, type TestContext, test } from "node:test";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { tcpPair } from "../../test/fixtures/tcp-pair.js";
import { type TestAuthority, testAuthority } from "../../test/fixtures/tls.js";
import { takeBytes } from "../flow/lending.js";
import { uint32 } from "../ssh/wire.js";
import { directExporter } from "./direct-route.js";
import { TlsPrelude } from "./tls-prelude.js";
import { type TunnelCredentials, tunnelSecureContext } from "./tunnel-protocol.js";

const ALPN = "prelude-test";
const NAME = "proxy.test";
const MAX_BYTES = 1_000;

let authority: TestAuthority;
let credentials: TunnelCredentials;
before(async () => {
  authority = await testAuthority();
  credentials = await authority.issue(NAME);
});

for (const lends of [true, false])
  test(`both ends say a frame and go on without TLS, byte for byte${lends ? ", through a socket that lends" : ""}`, async (t) => {
    const { near, far } = await handshake(t, lends);
    assert.deepEqual(directExporter(near.tls), directExporter(far.tls));
    await near.say(Buffer.from("question"));
    assert.equal(String(await far.hear()), "question");
    const server = await far.sayLast(Buffer.from("answer"));
    assert.equal(String(await near.hear()), "answer");
    const client = near.leave();
    assert.equal(client.readableLength, 0);

    const sent = randomBytes(3_000_000);
    client.end(sent);
    const received: Buffer[] = [];
    takeBytes(server, (bytes) => received.push(Buffer.from(bytes)));
    await once(server, "end");
    assert.ok(Buffer.concat(received).equals(sent));
    server.end("and back");
    client.setEncoding("utf8");
    assert.equal((await client.toArray()).join(""), "and back");
  });

test("frames of any length are heard, whatever records they come in", async (t) => {
  const { near, far } = await handshake(t);
  const content = randomBytes(MAX_BYTES);
  const heard = far.hear();
  for (const part of [
    uint32(MAX_BYTES).subarray(0, 3),
    uint32(MAX_BYTES).subarray(3),
    content.subarray(0, 1),
    content.subarray(1),
  ]) {
    near.tls.write(part);
    await new Promise(setImmediate);
  }
  assert.deepEqual(await heard, content);
  await far.sayLast(Buffer.alloc(0));
  assert.deepEqual(await near.hear(), Buffer.alloc(0));
});

test("a frame that is too long is refused before it has come", async (t) => {
  const { near, far } = await handshake(t);
  near.tls.write(uint32(MAX_BYTES + 1));
  await assert.rejects(far.hear(), /1001 bytes is too long/);
  await once(near.tcp, "close");
});

test("a flood before anybody listens ends the connection", async (t) => {
  const { near, far } = await handshake(t);
  near.tls.write(Buffer.alloc(2 * MAX_BYTES));
  await once(far.tcp, "close");
  await assert.rejects(far.hear(), /more than one message/);
});

for (const [what, isInside, bytes] of [
  ["more TLS", true, "more"],
  ["bytes without TLS", false, "SSH-2.0-impatient\r\n"],
  ["a few bytes without TLS", false, "SSH"],
] as const)
  test(`${what} right behind the frame, in the same segment, is refused`, async (t) => {
    const { near, far } = await handshake(t);
    near.tcp.cork();
    near.tls.write(Buffer.concat([uint32(3), Buffer.from(isInside ? `ask${bytes}` : "ask")]));
    await new Promise(setImmediate);
    if (!isInside) near.tcp.write(bytes);
    near.tcp.uncork();
    await assert.rejects(async () => {
      await far.hear();
      await new Promise(setImmediate);
      await far.sayLast(Buffer.from("go"));
    }, /more than one message|does not speak TLS|did not wait for its turn/);
    await once(near.tcp.resume(), "close");
  });

test("bytes of the server right behind its frame are refused by the client", async (t) => {
  const { near, far } = await handshake(t);
  await near.say(Buffer.from("ask"));
  await far.hear();
  const server = await far.sayLast(Buffer.from("go"));
  server.write("SSH");
  await near.hear();
  while (near.tcp.readableLength === 0) await new Promise(setImmediate);
  assert.throws(() => near.leave(), /did not wait for its turn/);
});

for (const [what, attack] of [
  ["garbage", (tcp: Socket) => tcp.write(randomBytes(100).fill(0x47, 0, 1))],
  ["garbage that begins as TLS does", (tcp: Socket) => tcp.write(Buffer.concat([Buffer.of(22, 3, 1, 0, 50), randomBytes(50)]))],
  ["a record that is too long", (tcp: Socket) => tcp.write(Buffer.of(22, 3, 3, 0xff, 0xff))],
  ["an empty record", (tcp: Socket) => tcp.write(Buffer.of(22, 3, 3, 0, 0))],
  ["half a record and its end", (tcp: Socket) => tcp.end(Buffer.of(22, 3, 1, 0, 50, 1))],
  ["nothing and its end", (tcp: Socket) => tcp.end()],
  ["a reset", (tcp: Socket) => tcp.resetAndDestroy()],
] as const)
  test(`a client that sends ${what} is not let in`, async (t) => {
    const { near, far } = await tcpPair(t);
    const accepted = TlsPrelude.accept(far, tunnelSecureContext(credentials), ALPN, MAX_BYTES);
    near.on("error", () => undefined).resume();
    attack(near);
    const closed = new Promise((resolve) => far.once("close", resolve));
    await assert.rejects(accepted, Error);
    await closed;
  });

test("half a frame and silence last until the connection is ended", async (t) => {
  const { near, far } = await handshake(t);
  near.tls.write(Buffer.concat([uint32(10), Buffer.from("half")]));
  const heard = far.hear();
  await new Promise((resolve) => setTimeout(resolve, 20));
  far.tcp.destroy();
  await assert.rejects(heard, /closed/);
});

test("a client that goes away while it is to wait is noticed", async (t) => {
  const { near, far } = await handshake(t);
  await near.say(Buffer.from("ask"));
  await far.hear();
  const closed = once(far.tcp, "close");
  near.tcp.end();
  await closed;
  await assert.rejects(far.sayLast(Buffer.from("go")), /closed/);
});

for (const [what, options] of [
  ["TLS 1.2", { minVersion: "TLSv1.2", maxVersion: "TLSv1.2", ALPNProtocols: [ALPN] }],
  ["another protocol", { ALPNProtocols: ["http/1.1"] }],
  ["no protocol", {}],
] as const satisfies readonly (readonly [string, ConnectionOptions])[])
  test(`a client that offers ${what} is sent away`, async (t) => {
    const { near, far } = await tcpPair(t);
    const accepted = TlsPrelude.accept(far, tunnelSecureContext(credentials), ALPN, MAX_BYTES);
    const tls = connectTls({ socket: near, ca: authority.certificatePem, servername: NAME, ...options });
    tls.on("error", () => undefined).resume();
    const closed = once(far, "close");
    await assert.rejects(accepted, /protocol|does not speak/);
    await closed;
  });

for (const [what, options] of [
  ["of another authority", async () => ({ ca: (await testAuthority()).certificatePem, servername: NAME })],
  ["for another name", async () => ({ ca: authority.certificatePem, servername: "other.test" })],
] as const)
  test(`a client does not speak to a server with a certificate ${what}`, async (t) => {
    const { near, far } = await tcpPair(t);
    const accepted = TlsPrelude.accept(far, tunnelSecureContext(credentials), ALPN, MAX_BYTES).then((server) => server.hear());
    await assert.rejects(TlsPrelude.dial(near, await options(), ALPN, MAX_BYTES), /certificate|altnames/);
    await assert.rejects(accepted, Error);
  });

test("no variable of the environment makes a client speak to any server", async (t) => {
  const { near, far } = await tcpPair(t);
  const accepted = TlsPrelude.accept(far, tunnelSecureContext(credentials), ALPN, MAX_BYTES).then((server) => server.hear());
  t.after(() => delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"]);
  process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
  const { certificatePem: ca } = await testAuthority();
  await assert.rejects(TlsPrelude.dial(near, { ca, servername: NAME }, ALPN, MAX_BYTES), /certificate/);
  await assert.rejects(accepted, Error);
});

// --- internal ---

async function handshake(t: TestContext, lends = true): Promise<{ near: TlsPrelude; far: TlsPrelude }> {
  const { near, far } = await tcpPair(t, lends);
  const [client, server] = await Promise.all([
    TlsPrelude.dial(near, { ca: authority.certificatePem, servername: NAME }, ALPN, MAX_BYTES),
    TlsPrelude.accept(far, tunnelSecureContext(credentials), ALPN, MAX_BYTES),
  ]);
  return { near: client, far: server };
}
