import assert from "node:assert/strict";
import { once } from "node:events";
import type { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { FakeClock } from "../../test/fakes/clock.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { closing, PROXY_NAME, STREAM_INFO, TunnelTestBed } from "../../test/fixtures/tunnel-pair.js";
import { isMezError, MezError } from "../errors/error.js";
import { askPeer, type PeerDialerOptions } from "./peer-stream.js";
import { dialTls } from "./stream-dialer.js";
import type { TunnelStreamInfo } from "./stream-headers.js";
import { PEER_ALPN, tunnelSecureContext } from "./tunnel-protocol.js";

let bed: TunnelTestBed;
let far: Duplex[] = [];
const warnings: string[] = [];
const asked: { readonly by: string; readonly info: TunnelStreamInfo }[] = [];
before(async () => {
  bed = await TunnelTestBed.open({
    peers: {
      admit: ({ certificate }) => certificate.subject === "CN=proxy-a",
      open: async ({ certificate }, info, signal) => {
        asked.push({ by: certificate.subject, info });
        return bed.directory.open(info, signal);
      },
    },
    clock: new FakeClock(),
    logger: { ...silentLogger, warn: (message) => void warnings.push(message) },
  });
  await bed.connectedAgent((stream) => void far.push(stream));
});
after(() => bed.dispose());

test("a proxy gets a stream to a node that is connected to another one, half-close and all that is said of it included", async () => {
  const factor = { kind: "totp", user: "alice" } as const;
  const near = await ask({ ...STREAM_INFO, factor });
  assert.deepEqual(asked.at(-1), { by: "CN=proxy-a", info: { ...STREAM_INFO, factor } });
  const [node] = far as [Duplex];
  near.end("to the node");
  assert.equal(await text(node), "to the node");
  node.end("and back");
  assert.equal(await text(near), "and back");
});

test("bytes pass without loss while neither side keeps up", async () => {
  far = [];
  const near = await ask();
  const [node] = far as [Duplex];
  const block = Buffer.alloc(2 ** 20, "x");
  let received = 0;
  near.on("data", (chunk: Buffer) => {
    received += chunk.length;
  });
  for (let count = 0; count < 32; count += 1) if (!node.write(block)) await once(node, "drain");
  node.end();
  await once(near, "end");
  assert.equal(received, 32 * block.length);
  near.end();
});

test("a stream that breaks on one side breaks on the other, and never looks like a clean end", async () => {
  far = [];
  const near = await ask();
  const [node] = far as [Duplex];
  const broken = closing(near.resume());
  node.resume().destroy();
  assert.ok(isMezError(await broken, "TUNNEL_STREAM_RESET"));
});

test("a node that is not connected there is offline; no other proxy is asked in turn", async () => {
  await assert.rejects(ask({ ...STREAM_INFO, nodeName: "web-99" }), (error) => isMezError(error, "NODE_OFFLINE"));
});

test("who is no proxy gets nothing, learns no reason, and fills no log", async () => {
  const before = asked.length;
  for (let count = 0; count < 15; count += 1)
    await assert.rejects(
      ask(STREAM_INFO, { as: "web-02" }),
      (error) => isMezError(error, "UNAVAILABLE") && /refuses/.test(error.message),
    );
  assert.equal(asked.length, before);
  assert.equal(warnings.length, 10);
});

test("who is no proxy is refused before it has asked", async () => {
  const { socket } = dialTls(await dialling("web-02"), PEER_ALPN);
  await once(socket, "secureConnect");
  const [answer] = await once(socket, "data");
  assert.deepEqual(answer, Buffer.of(3));
  socket.destroy();
});

test("nothing is asked of what is no proxy, of what nobody answers, and of what takes too long", async () => {
  const before = asked.length;
  const unavailable = (error: unknown) => isMezError(error, "UNAVAILABLE");
  await assert.rejects(ask(STREAM_INFO, { isProxy: () => false }), unavailable);
  await assert.rejects(ask(STREAM_INFO, { address: "127.0.0.1:1" }), unavailable);
  await assert.rejects(ask(STREAM_INFO, { handshakeSeconds: 0.001 }), unavailable);
  assert.equal(asked.length, before);
});

test("asking ends with the session that it was for", async () => {
  const session = new AbortController();
  const reason = new MezError("ACCESS_DENIED", "locked");
  const pending = ask(STREAM_INFO, {}, session.signal);
  session.abort(reason);
  await assert.rejects(pending, reason);
});

for (const [what, question] of [
  ["no JSON", framed("{")],
  ["no object", framed("null")],
  ["a node name with a line break", framed(JSON.stringify({ "mezite-node": "a\nb" }))],
  ["a length beyond the limit", Buffer.from([0xff, 0xff])],
] as const)
  test(`a question that is ${what} is refused, and the listener goes on`, async () => {
    const before = asked.length;
    const { socket } = dialTls(await dialling("proxy-a"), PEER_ALPN);
    await once(socket, "secureConnect");
    socket.write(question);
    const [answer] = await once(socket, "data");
    assert.deepEqual([answer, asked.length], [Buffer.of(3), before]);
    socket.destroy();
    (await ask()).destroy();
  });

// --- internal ---

async function dialling(as: string): Promise<PeerDialerOptions> {
  const secureContext = tunnelSecureContext(await bed.authority.issue(as));
  return { address: `127.0.0.1:${bed.port}`, secureContext, serverName: PROXY_NAME, handshakeSeconds: 10, isProxy: () => true };
}

async function ask(
  info: TunnelStreamInfo = STREAM_INFO,
  { as = "proxy-a", ...options }: Partial<PeerDialerOptions> & { readonly as?: string } = {},
  signal: AbortSignal = new AbortController().signal,
): Promise<Duplex> {
  return askPeer(info, { ...(await dialling(as)), ...options }, signal);
}

function framed(text: string): Buffer {
  return Buffer.concat([Buffer.of(0, text.length), Buffer.from(text)]);
}
