import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { testAuthority } from "../../test/fixtures/tls.js";
import { closing, PROXY_NAME, STREAM_INFO, TunnelTestBed } from "../../test/fixtures/tunnel-pair.js";
import { isMezError } from "../errors/error.js";
import type { TunnelAgentOptions } from "./tunnel-agent.js";
import { TunnelListener } from "./tunnel-listener.js";
import { STREAM_ALPN, TUNNEL_ALPN, type TunnelCredentials } from "./tunnel-protocol.js";

/** The beginning of a TLS record of 512 bytes that asks for a tunnel. @see RFC 8446, 5.1 */
const UNFINISHED_HELLO = Buffer.concat([Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252]), Buffer.from(TUNNEL_ALPN)]);
const HANGS = "it takes connections and does nothing with them";
const discard: TunnelAgentOptions["onStream"] = (stream) => void stream.resume();

test("reaches the agent with what the proxy knows of the client", async (t) => {
  const bed = await openBed(t);
  const received: unknown[] = [];
  await bed.connectedAgent((stream, info) => {
    received.push(info);
    stream.resume();
  });
  await bed.directory.open(STREAM_INFO);
  assert.deepEqual(received, [STREAM_INFO]);
});

test("is told which of its sessions the proxy ends, and why, and of no others", async (t) => {
  const bed = await openBed(t);
  const heard: unknown[] = [];
  await bed.connectedAgent(discard, { onSessionEnd: (end) => void heard.push(end) });
  const end = { sessionId: STREAM_INFO.sessionId, reason: "user alice is locked" };
  bed.directory.tellEnd(STREAM_INFO.nodeName, end);
  const stream = await bed.directory.open(STREAM_INFO);
  assert.deepEqual(heard, [], "there was no such session yet");
  bed.directory.tellEnd(STREAM_INFO.nodeName, { ...end, sessionId: "1b1f0b5e-6a5c-4d0e-9d5a-0f6f3a1c2b3d" });
  bed.directory.tellEnd(STREAM_INFO.nodeName, { ...end, sessionId: "no id" });
  bed.directory.tellEnd("web-02", end);
  bed.directory.tellEnd(STREAM_INFO.nodeName, end);
  await bed.directory.open({ ...STREAM_INFO, sessionId: "2b1f0b5e-6a5c-4d0e-9d5a-0f6f3a1c2b3d" });
  assert.deepEqual(heard, [end]);
  stream.destroy();
});

test("a node without a tunnel is offline", async (t) => {
  const bed = await openBed(t);
  await assert.rejects(bed.directory.open(STREAM_INFO), (error) => isMezError(error, "NODE_OFFLINE"));
});

test("refuses an agent of another CA, and the agent a proxy of another CA", async (t) => {
  const bed = await openBed(t);
  const other = await testAuthority();
  const foreign = await other.issue("web-01");
  for (const credentials of [{ ...foreign, trustPem: [bed.authority.certificatePem] }, foreign]) {
    const waiting = stateReached("waiting");
    const agent = await bed.agent(discard, { credentials: () => credentials, onStateChange: waiting.listener });
    await agent.start();
    await waiting.reached;
    assert.deepEqual(bed.directory.all(), []);
    await agent.dispose();
  }
});

test("an agent refuses a server of the same CA that is not the proxy", async (t) => {
  const bed = await openBed(t);
  const waiting = stateReached("waiting");
  const agent = await bed.agent(discard, { serverName: "other.test", onStateChange: waiting.listener });
  await agent.start();
  await waiting.reached;
  assert.deepEqual(bed.directory.all(), []);
});

test("an agent that is refused logs why, waits, and does not count as connected", async (t) => {
  const bed = await openBed(t, { authorize: () => ({ refusal: "node web-01 is locked" }) });
  const states: string[] = [];
  const reasons: unknown[] = [];
  const waiting = stateReached("waiting");
  const agent = await bed.agent(discard, {
    logger: { ...silentLogger, warn: (_message, fields) => void reasons.push(fields?.["error"]) },
    onStateChange: (state) => {
      states.push(state);
      waiting.listener(state);
    },
  });
  await agent.start();
  await waiting.reached;
  assert.deepEqual(states, ["connecting", "waiting"]);
  assert.deepEqual(reasons, [`cannot open a tunnel to 127.0.0.1:${bed.port}: node web-01 is locked`]);
  assert.deepEqual(bed.directory.all(), []);
});

for (const [name, options] of [
  ["without a client certificate", { cert: undefined, key: undefined }],
  ["below TLS 1.3", { minVersion: "TLSv1.2", maxVersion: "TLSv1.2" }],
  ["with another ALPN", { ALPNProtocols: ["h2"] }],
  ["with a stream key that nobody issued", { ALPNProtocols: [STREAM_ALPN], first: Buffer.alloc(16, 7) }],
  ["with garbage for HTTP/2", { first: Buffer.alloc(256, 7) }],
  ["that says nothing after the handshake", {}],
  ["that says nothing where a stream key belongs", { ALPNProtocols: [STREAM_ALPN] }],
] as const) {
  test(`closes a client ${name}`, async (t) => {
    const bed = await openBed(t, { handshakeSeconds: 0.2 });
    const { first, ...overrides } = { first: undefined, ...options };
    const socket = connectTls({ ...tlsOptions(await bed.authority.issue("web-01")), port: bed.port, ...overrides });
    socket.on("error", () => {});
    socket.once("secureConnect", () => first !== undefined && socket.write(first));
    socket.resume();
    await once(socket, "close").catch(() => undefined);
    assert.deepEqual(bed.directory.all(), []);
    await untilTrue(() => bed.listener.pendingCount === 0);
  });
}

for (const [name, bytes] of [
  ["nothing", ""],
  ["garbage", "SSH-2.0-OpenSSH_9.2\r\n"],
] as const) {
  test(`closes a connection that sends ${name} instead of TLS`, async (t) => {
    const bed = await openBed(t, { handshakeSeconds: 0.2 });
    const socket = connectTcp({ port: bed.port, host: "127.0.0.1" });
    socket.on("error", () => {});
    socket.write(bytes);
    socket.resume();
    await once(socket, "close").catch(() => undefined);
    await untilTrue(() => bed.listener.pendingCount === 0);
  });
}

test("closes the oldest stranger when too many knock, and still lets agents in", async (t) => {
  const bed = await openBed(t, { maxPending: 4 });
  const strangers = Array.from({ length: 12 }, () => connectTcp({ port: bed.port, host: "127.0.0.1" }));
  for (const stranger of strangers) stranger.on("error", () => {});
  await untilTrue(() => strangers.filter((stranger) => stranger.resume().closed).length >= 8);
  await bed.connectedAgent(discard);
  assert.ok(bed.listener.pendingCount <= 4);
  for (const stranger of strangers) stranger.destroy();
});

test("refuses newcomers, and not those whose handshake has begun, when all dial at once", async (t) => {
  const bed = await openBed(t, { maxPending: 4 });
  const options = { ...tlsOptions(await bed.authority.issue("web-01")), port: bed.port };
  const begun = Array.from({ length: 4 }, () => connectTls(options).on("error", () => {}));
  await Promise.all(begun.map((socket) => once(socket.resume(), "secureConnect")));
  assert.equal(bed.listener.pendingCount, 4);
  const newcomers = Array.from({ length: 4 }, () => connectTcp({ port: bed.port, host: "127.0.0.1" }).on("error", () => {}));
  await untilTrue(() => newcomers.every((newcomer) => newcomer.resume().closed));
  assert.deepEqual(
    begun.map(({ closed }) => closed),
    [false, false, false, false],
  );
  for (const socket of begun) socket.destroy();
  await bed.connectedAgent(discard);
});

test("agents that all dial at once wait for their turn, and none is refused", async (t) => {
  const bed = await openBed(t, { maxPending: 8 });
  const { listener } = bed;
  const agents: Socket[] = [];
  while (agents.length < 40) {
    const agent = connectTcp({ port: bed.port, host: "127.0.0.1" }).on("error", () => {});
    agents.push(agent.resume());
    agent.write(UNFINISHED_HELLO);
    await untilTrue(() => agents.some(({ closed }) => closed) || listener.pendingCount + listener.waitingCount === agents.length);
  }
  await untilTrue(() => listener.pendingCount === 4 && listener.waitingCount === 36);
  assert.equal(agents.filter(({ closed }) => closed).length, 0);
  for (const agent of agents) agent.destroy();
  await bed.connectedAgent(discard);
  await untilTrue(() => listener.pendingCount + listener.waitingCount === 0);
});

test("waits longer the second time for a proxy that takes the connection and does not answer", async (t) => {
  const bed = await openBed(t);
  const silent = createServer((socket) => void socket.on("error", () => {})).listen(0, "127.0.0.1");
  await once(silent, "listening");
  t.after(() => silent.close());
  const reasons: string[] = [];
  const agent = await bed.agent(discard, {
    addresses: [`127.0.0.1:${(silent.address() as AddressInfo).port}`],
    answerSeconds: 0.05,
    logger: { ...silentLogger, warn: (_message, fields) => void reasons.push(String(fields?.["error"]).replace(/^.*: /, "")) },
  });
  await agent.start();
  await untilTrue(() => reasons.length === 2);
  await agent.dispose();
  assert.deepEqual(reasons, ["no answer within 0.05 s", "no answer within 0.1 s"]);
});

for (const [what, pauseOnConnect, reason] of [
  ["gives up a proxy that takes connections and hangs, long before its turn would be too long in coming", true, HANGS],
  ["waits for a proxy that is busy, and closes what others close", false, "no answer within 1 s"],
] as const)
  test(what, async (t) => {
    const bed = await openBed(t);
    const open: Socket[] = [];
    const silent = createServer({ pauseOnConnect }, (socket) => void open.push(socket.on("error", () => {})));
    await once(silent.listen(0, "127.0.0.1"), "listening");
    t.after(() => {
      for (const socket of open) socket.destroy();
      silent.close();
    });
    const reasons: string[] = [];
    const agent = await bed.agent(discard, {
      addresses: [`127.0.0.1:${(silent.address() as AddressInfo).port}`],
      handshakeSeconds: 0.4,
      answerSeconds: pauseOnConnect ? 30 : 1,
      logger: { ...silentLogger, warn: (_message, fields) => void reasons.push(String(fields?.["error"]).replace(/^.*: /, "")) },
    });
    await agent.start();
    await untilTrue(() => reasons.length === 1);
    await agent.dispose();
    assert.deepEqual(reasons, [reason]);
    assert.ok(open.length > 1);
  });

test("comes back after the proxy restarts", async (t) => {
  const bed = await openBed(t);
  await bed.connectedAgent(discard);
  const gone = bed.nextChange("disconnected");
  await bed.listener.dispose();
  await gone;
  const back = bed.nextChange("connected");
  await bed.listen();
  await back;
  (await bed.directory.open(STREAM_INFO)).destroy();
});

test("a proxy that stops answering pings is left for a new connection", async (t) => {
  const bed = await openBed(t);
  const waiting = stateReached("waiting");
  await bed.connectedAgent(discard, { pingIntervalSeconds: 0.05, onStateChange: waiting.listener });
  bed.directory.all()[0]?.close("moving");
  await waiting.reached;
  await bed.nextChange("connected");
});

test("renewed credentials are used by a second tunnel, and a session on the first goes on", async (t) => {
  const bed = await openBed(t);
  let credentials = await bed.authority.issue("web-01");
  const ends: Duplex[] = [];
  const agent = await bed.connectedAgent((stream) => void ends.push(stream), { credentials: () => credentials });
  const near = await bed.directory.open(STREAM_INFO);
  const serial = bed.directory.all()[0]?.certificate.serialNumber;
  await untilTrue(() => agent.state === "connected");
  credentials = await bed.authority.issue("web-01");
  const [second, oldGone] = [bed.nextChange("connected"), bed.nextChange("disconnected")];
  agent.renew();
  await second;
  assert.equal(bed.directory.isOnline("web-01"), true);
  await oldGone;
  assert.notEqual(bed.directory.all()[0]?.certificate.serialNumber, serial);
  near.write("still here");
  assert.equal(String((await once(ends[0] as Duplex, "data"))[0]), "still here");
});

test("a drained agent is offline for new sessions and finishes those under way", async (t) => {
  const bed = await openBed(t);
  const { near, far, agent } = await bed.pair();
  const gone = bed.nextChange("disconnected");
  await agent.drain();
  await gone;
  await assert.rejects(bed.directory.open(STREAM_INFO), (error) => isMezError(error, "NODE_OFFLINE"));
  near.end("last words");
  assert.equal(String((await once(far, "data"))[0]), "last words");
  far.end();
  near.resume();
  assert.equal(await closing(near), null);
});

test("a signal takes back a request for a stream", async (t) => {
  const bed = await openBed(t);
  await bed.connectedAgent(discard);
  await assert.rejects(bed.directory.open(STREAM_INFO, AbortSignal.abort(new Error("client left"))), /client left/);
});

test("says which address cannot be listened on", async (t) => {
  const bed = await openBed(t);
  const { port } = bed;
  await assert.rejects(bed.listen(), (error) => isMezError(error, "PORT_UNAVAILABLE") && error.message.includes(String(port)));
  assert.ok(bed.listener instanceof TunnelListener);
});

// --- internal ---

async function openBed(t: { after(hook: () => Promise<void>): void }, options: Parameters<typeof TunnelTestBed.open>[0] = {}) {
  const bed = await TunnelTestBed.open(options);
  const first = bed.listener;
  t.after(async () => {
    await bed.dispose();
    await first.dispose();
  });
  return bed;
}

function tlsOptions(credentials: TunnelCredentials) {
  return {
    host: "127.0.0.1",
    key: credentials.privateKeyPem.expose(),
    cert: credentials.certificatePem,
    ca: [...credentials.trustPem],
    servername: PROXY_NAME,
    ALPNProtocols: [TUNNEL_ALPN],
  };
}

function stateReached(wanted: string): { reached: Promise<void>; listener: (state: string) => void } {
  let listener: (state: string) => void = () => undefined;
  const reached = new Promise<void>((resolve) => {
    listener = (state) => state === wanted && resolve();
  });
  return { reached, listener };
}

async function untilTrue(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5);
}
