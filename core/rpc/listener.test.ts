import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import { testAuthority } from "../../test/fixtures/tls.js";
import { Secret } from "../plugin/secret.js";
import { RpcListener, type RpcListenerLimits } from "./listener.js";

test("closes also while clients are in the handshake, and serves none of them afterwards", async () => {
  const served: unknown[] = [];
  const listener = await openListener(served);
  const port = Number(/\d+$/.exec(await listener.listen("127.0.0.1:0"))?.[0]);
  const silent = connectTcp(port, "127.0.0.1").on("error", () => undefined);
  await once(silent, "connect");
  const inHandshake = connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2"] });
  const ended = new Promise((resolve) => inHandshake.on("error", resolve).on("close", resolve).resume());
  await once(inHandshake, "connect");
  await new Promise((resolve) => setImmediate(resolve));
  await listener.close();
  await Promise.all([ended, once(silent.resume(), "close")]);
  assert.equal(served.length, 0);
});

test("a connection never resumes an earlier one: each proves its certificate anew", async (t) => {
  const listener = await openListener([]);
  t.after(() => listener.close());
  const port = Number(/\d+$/.exec(await listener.listen("127.0.0.1:0"))?.[0]);
  const to = { port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2"] };
  const first = connectTls(to).resume();
  const [session] = await once(first, "session");
  const second = connectTls({ ...to, session }).resume();
  await once(second, "secureConnect");
  assert.equal(second.isSessionReused(), false);
  for (const socket of [first, second]) socket.destroy();
});

test("whose network is in as many handshakes as it may waits, and is served when one is over", async (t) => {
  const listener = await openListener([], { strangersPerNetwork: 2 });
  t.after(() => listener.close());
  const port = Number(/\d+$/.exec(await listener.listen("127.0.0.1:0"))?.[0]);
  const silent = Array.from({ length: 2 }, () => connectTcp(port, "127.0.0.1").on("error", () => undefined));
  await Promise.all(silent.map((socket) => once(socket, "connect")));
  const waiting = connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2"] });
  await once(waiting, "connect");
  const gone = once(waiting, "close").then(() => "closed");
  for (const socket of silent) socket.destroy();
  assert.notEqual(await Promise.race([once(waiting, "secureConnect"), gone]), "closed");
  waiting.destroy();
});

test("silent connections of many networks hold up nobody for long", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const listener = await openListener([]);
  t.after(() => listener.close());
  const port = Number(/\d+$/.exec(await listener.listen("127.0.0.1:0"))?.[0]);
  const silent = Array.from({ length: 64 }, (_, index) =>
    connectTcp({ port, host: "127.0.0.1", localAddress: `127.0.1.${index + 1}` }).on("error", () => undefined),
  );
  await Promise.all(silent.map((socket) => once(socket, "connect")));
  const waiting = connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2"] });
  await once(waiting, "connect");
  const secured = once(waiting, "secureConnect").then(() => true);
  const turns = async (): Promise<false> => {
    for (let turn = 0; turn < 100; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    return false;
  };
  assert.equal(await Promise.race([secured, turns()]), false);
  t.mock.timers.tick(100);
  assert.ok(await secured);
  for (const socket of [waiting, ...silent]) socket.destroy();
});

test("whoever leaves before their turn is let go at once, and so is one who sends more than a client does", async (t) => {
  const listener = await openListener([], { strangersPerNetwork: 1 });
  t.after(() => listener.close());
  const port = Number(/\d+$/.exec(await listener.listen("127.0.0.1:0"))?.[0]);
  const first = connectTcp(port, "127.0.0.1").on("error", () => undefined);
  await once(first, "connect");
  const leaver = connectTcp({ port, host: "127.0.0.1", allowHalfOpen: true }).resume();
  leaver.end("some bytes");
  await new Promise((resolve) => leaver.once("close", resolve));
  const talker = connectTcp(port, "127.0.0.1").on("error", () => undefined);
  talker.resume().write(Buffer.alloc(100_000));
  await new Promise((resolve) => talker.once("close", resolve));
  first.destroy();
});

test("whoever waits for too long is closed, and the log says so", async (t) => {
  const warnings: unknown[] = [];
  const listener = await openListener([], { strangersPerNetwork: 1, waitMs: 20 }, warnings);
  t.after(() => listener.close());
  const port = Number(/\d+$/.exec(await listener.listen("127.0.0.1:0"))?.[0]);
  const first = connectTcp(port, "127.0.0.1").on("error", () => undefined);
  await once(first, "connect");
  const waiting = connectTcp(port, "127.0.0.1").resume();
  await once(waiting, "close");
  const message = "a connection was closed before its handshake";
  assert.deepEqual(warnings, [{ message, address: "127.0.0.1", reason: "waited too long", waiting: 0 }]);
  assert.equal(first.destroyed, false);
  first.destroy();
});

// --- internal ---

async function openListener(served: unknown[], limits?: RpcListenerLimits, warnings: unknown[] = []): Promise<RpcListener> {
  const credentials = {
    ...(await (await testAuthority()).issue("localhost")),
    ...{ name: "auth", id: "0", role: "auth" as const, sshPrivateKey: new Secret(""), sshCertificate: Buffer.alloc(0) },
    expiresAt: new Date(),
  };
  const onConnection = (socket: unknown) => served.push(socket);
  const events = { onConnection, admitRelay: async () => undefined, isBlind: () => false };
  const logger = { warn: (message: string, fields = {}) => void warnings.push({ message, ...fields }) };
  return new RpcListener(credentials, { ...events, logger }, limits);
}
