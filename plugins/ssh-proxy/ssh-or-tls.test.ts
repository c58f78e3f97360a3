import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { lendingSocket } from "../../core/flow/lending-socket.js";
import { SshOrTls } from "./ssh-or-tls.js";

const LONG_MS = 60_000;

for (const [said, expected] of [
  ["SSH-2.0-test\r\n", "ssh"],
  ["GET / HTTP/1.1\r\n\r\n", "ssh"],
  ["\x16\x03\x01", "tls"],
] as const)
  test(`hands a client that says ${JSON.stringify(said)} to ${expected}, with what it said`, async (t) => {
    const { dial, arrival } = await open(t, LONG_MS);
    dial().write(said, "latin1");
    const { server, socket } = await arrival();
    assert.equal(server, expected);
    const [bytes] = (await once(socket, "data")) as [Buffer];
    assert.equal(bytes.toString("latin1"), said);
  });

test("serves SSH to a client that says nothing for a moment", async (t) => {
  const { dial, arrival } = await open(t, 20);
  const client = dial();
  const { server, socket } = await arrival();
  assert.equal(server, "ssh");
  client.write("SSH-2.0-patient\r\n");
  const [bytes] = (await once(socket, "data")) as [Buffer];
  assert.equal(String(bytes), "SSH-2.0-patient\r\n");
});

test("waits for no more clients than it may, and serves SSH to the oldest of too many", async (t) => {
  const { dial, arrival } = await open(t, LONG_MS, 2);
  const first = dial();
  await once(first, "connect");
  for (let more = 0; more < 2; more += 1) await once(dial(), "connect");
  const { server, socket } = await arrival();
  assert.equal(server, "ssh");
  assert.equal(socket.remotePort, first.localPort);
});

test("closes clients that end without a word, and the silent ones when it is closed", async (t) => {
  const { dial, door } = await open(t, LONG_MS);
  const ending = dial();
  ending.end();
  await once(ending.resume(), "close");
  const silent = dial();
  await once(silent, "connect");
  const closed = once(silent.resume(), "close");
  setTimeout(() => door.close(), 20);
  await closed;
});

// --- internal ---

interface Arrival {
  readonly server: "ssh" | "tls";
  readonly socket: Socket;
}

async function open(t: TestContext, patienceMs: number, maxSilent?: number) {
  const arrivals: Arrival[] = [];
  const sockets: Socket[] = [];
  let onArrival = (): void => undefined;
  const to = (server: Arrival["server"]) => (socket: Socket) => {
    arrivals.push({ server, socket });
    onArrival();
  };
  const door = new SshOrTls({ ssh: to("ssh"), tls: to("tls") }, patienceMs, maxSilent);
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const lending = lendingSocket(socket);
    sockets.push(lending);
    door.accept(lending);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const dial = (): Socket => {
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1").on("error", () => undefined);
    sockets.push(socket);
    return socket;
  };
  const arrival = async (): Promise<Arrival> => {
    for (;;) {
      const next = arrivals.shift();
      if (next !== undefined) return next;
      await new Promise<void>((resolve) => {
        onArrival = resolve;
      });
    }
  };
  return { dial, arrival, door };
}
