import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { TLSSocket } from "node:tls";
import { PROXY_NAME, STREAM_INFO, TunnelTestBed } from "../../test/fixtures/tunnel-pair.js";
import { isMezError } from "../errors/error.js";
import { BARE_HELLO_BYTES, BARE_STREAM_MAGIC, dialBareStream, receiveBareStream } from "./bare-stream.js";
import { tunnelSecureContext } from "./tunnel-protocol.js";

const KEY = randomBytes(16);
const SECRET = randomBytes(32);

test("brings a stream to the proxy that asked for it, with the first bytes that follow", async (t) => {
  const { port, received } = await proxy(t, SECRET);
  const agent = await dialBareStream({ key: KEY, secret: SECRET }, await dialOptions(port));
  agent.write("SSH-2.0-Mezite\r\n");
  const { key, stream } = await received;
  assert.deepEqual(key, KEY);
  assert.equal(String((await once(stream, "data"))[0]), "SSH-2.0-Mezite\r\n");
  agent.destroy();
  stream.destroy();
});

for (const [who, atProxy, atAgent] of [
  ["an agent that knows another secret", SECRET, randomBytes(32)],
  ["an agent whose key nobody waits for", null, SECRET],
] as const)
  test(`refuses ${who}, and it the proxy`, async (t) => {
    const { port, received } = await proxy(t, atProxy);
    await assert.rejects(dialBareStream({ key: KEY, secret: atAgent }, await dialOptions(port)), refused);
    await assert.rejects(received, refused);
  });

test("refuses somebody who plays an agent's words back", async (t) => {
  const first = await proxy(t, SECRET);
  const heard: Buffer[] = [];
  const listener = createServer((near) => {
    const far = connect(first.port, "127.0.0.1");
    near.on("data", (bytes) => {
      heard.push(bytes);
      far.write(bytes);
    });
    far.on("data", (bytes) => near.write(bytes));
    near.on("error", () => undefined).once("close", () => far.destroy());
    far.on("error", () => undefined).once("close", () => near.destroy());
  }).listen(0, "127.0.0.1");
  await once(listener, "listening");
  t.after(() => listener.close());
  const agent = await dialBareStream({ key: KEY, secret: SECRET }, await dialOptions((listener.address() as AddressInfo).port));
  (await first.received).stream.destroy();
  agent.destroy();

  const second = await proxy(t, SECRET);
  const thief = connect(second.port, "127.0.0.1").on("error", () => undefined);
  thief.write(Buffer.concat(heard));
  await assert.rejects(second.received, refused);
  thief.destroy();
});

test("gives up an agent that says half of its words", async (t) => {
  const { port, received } = await proxy(t, SECRET, 0.2);
  const agent = connect(port, "127.0.0.1").on("error", () => undefined);
  agent.write(BARE_STREAM_MAGIC);
  await assert.rejects(received, refused);
  agent.destroy();
});

test("the secret does not cross the wire", async (t) => {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  t.after(() => listener.close());
  const dialled = dialBareStream({ key: KEY, secret: SECRET }, await dialOptions((listener.address() as AddressInfo).port));
  const [socket] = (await once(listener, "connection")) as [Socket];
  const [hello] = (await once(socket, "data")) as [Buffer];
  assert.equal(hello.length, BARE_HELLO_BYTES);
  assert.ok(!hello.includes(SECRET.subarray(0, 4)));
  socket.end(randomBytes(48));
  await assert.rejects(dialled, refused);
});

for (const [proxyAllows, agentAllows, isBare] of [
  ["ssh", "ssh", true],
  ["ssh", "tls", false],
  ["tls", "ssh", false],
] as const)
  test(`with ${proxyAllows} at the proxy and ${agentAllows} at the agent a stream ${isBare ? "has no" : "has"} TLS of its own`, async (t) => {
    const bed = await TunnelTestBed.open({}, agentAllows);
    t.after(() => bed.dispose());
    await bed.connectedAgent((stream) => void stream.pipe(stream));
    const near = await bed.directory.open(STREAM_INFO, undefined, proxyAllows);
    assert.equal(near instanceof TLSSocket, !isBare);
    near.end("hello");
    assert.equal(await text(near), "hello");
  });

test("comes with TLS after all where nothing else gets through", async (t) => {
  const bed = await TunnelTestBed.open({}, "ssh");
  t.after(() => bed.dispose());
  const wall = createServer((near) => {
    near
      .on("error", () => undefined)
      .once("data", (bytes: Buffer) => {
        if (bytes[0] !== 22) return void near.destroy();
        const far = connect(bed.port, "127.0.0.1").on("error", () => near.destroy());
        far.write(bytes);
        near.pipe(far).pipe(near);
      });
  }).listen(0, "127.0.0.1");
  await once(wall, "listening");
  t.after(() => wall.close());
  await bed.connectedAgent((stream) => void stream.pipe(stream), {
    addresses: [`127.0.0.1:${(wall.address() as AddressInfo).port}`],
  });
  for (const word of ["first", "second"]) {
    const near = await bed.open();
    assert.ok(near instanceof TLSSocket);
    near.write(word);
    assert.equal(String((await once(near, "data"))[0]), word);
    near.destroy();
  }
});

test("what carries anything but SSH has TLS, whatever both allow", async (t) => {
  const bed = await TunnelTestBed.open({}, "ssh");
  t.after(() => bed.dispose());
  await bed.connectedAgent((stream) => void stream.resume());
  const near = await bed.directory.open(STREAM_INFO);
  assert.ok(near instanceof TLSSocket);
});

// --- internal ---

const refused = (error: unknown) => isMezError(error, "UNAVAILABLE");

async function dialOptions(port: number) {
  const bed = await TunnelTestBed.open();
  await bed.dispose();
  const credentials = await bed.authority.issue(STREAM_INFO.nodeName);
  return {
    address: `127.0.0.1:${port}`,
    secureContext: tunnelSecureContext(credentials),
    serverName: PROXY_NAME,
    handshakeSeconds: 5,
  };
}

/** The proxy's half, for one connection. */
async function proxy(t: TestContext, secret: Buffer | null, handshakeSeconds = 5) {
  const listener = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
  await once(listener, "listening");
  t.after(() => listener.close());
  const received = once(listener, "connection").then(([socket]) =>
    receiveBareStream(socket as Socket, () => secret, handshakeSeconds),
  );
  received.catch(() => undefined);
  return { port: (listener.address() as AddressInfo).port, received };
}
