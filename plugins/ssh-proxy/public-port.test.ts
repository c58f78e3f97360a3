import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { closed } from "../../test/fixtures/closed.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { PublicPort, type PublicPortParts, type PublicPortServers } from "./public-port.js";

interface Arrival {
  readonly server: keyof PublicPortServers;
  readonly socket: Socket;
}

test("hands SSH on with its first bytes", async (t) => {
  const { port, arrival } = await open(t);
  const client = dial(t, port);
  for (const part of ["S", "SH", "-2.0-test\r\n"]) {
    client.write(part);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const { server, socket } = await arrival;
  assert.equal(server, "ssh");
  const [bytes] = (await once(socket, "data")) as [Buffer];
  assert.equal(bytes.toString(), "SSH-2.0-test\r\n");
  assert.equal(port.pendingCount, 0);
});

for (const [protocols, expected] of [
  [["h2"], "rpc"],
  [["mezite-tunnel"], "tunnel"],
  [["mezite-stream"], "tunnel"],
  [["mezite-ssh"], "sshInTls"],
  [["mezite-direct"], "direct"],
  [["http/1.1"], "web"],
  [["h2", "http/1.1"], "web"],
  [[], "web"],
] as const) {
  test(`hands TLS that offers ${protocols.join(", ") || "no list"} to ${expected}`, async (t) => {
    const { port, arrival } = await open(t);
    const client = connectTls({ ...place(port), ALPNProtocols: [...protocols] }).on("error", () => {});
    t.after(() => client.destroy());
    const { server, socket } = await arrival;
    assert.equal(server, expected);
    const [bytes] = (await once(socket, "data")) as [Buffer];
    assert.equal(bytes[0], 22);
  });
}

for (const protocols of [["mezite-relay"], ["h3", "http/1.0"]]) {
  test(`tells TLS that offers ${protocols.join()} that nothing is served under it`, async (t) => {
    const { port } = await open(t);
    const client = connectTls({ ...place(port), ALPNProtocols: protocols });
    const [error] = (await once(client, "error")) as [NodeJS.ErrnoException];
    assert.match(error.code ?? "", /NO_APPLICATION_PROTOCOL/);
  });
}

for (const garbage of ["GET / HTTP/1.1\r\n\r\n", "SSL-", "\0\0\0\0", "\x16\x03\x01\0\0", "S\n"]) {
  test(`closes a client that says ${JSON.stringify(garbage)}`, async (t) => {
    const { port } = await open(t);
    const client = dial(t, port);
    client.write(garbage, "latin1");
    await closed(client);
    assert.equal(port.pendingCount, 0);
  });
}

test("closes a client that says nothing, or not enough, and one that leaves", async (t) => {
  const { port } = await open(t, { graceSeconds: 0.05 });
  const [silent, slow] = [dial(t, port), dial(t, port)];
  slow.write("SS");
  await Promise.all([closed(silent), closed(slow)]);
  const leaving = dial(t, port);
  leaving.end("SSH");
  await closed(leaving);
  assert.equal(port.pendingCount, 0);
});

test("closes the oldest of too many that have not said anything", async (t) => {
  const { port, arrival } = await open(t, { maxPending: 2 });
  const oldest = dial(t, port);
  await once(oldest, "connect");
  const others = [dial(t, port), dial(t, port)];
  await closed(oldest);
  others[0]?.write("SSH-");
  assert.equal((await arrival).server, "ssh");
});

test("a network that knocks again and again keeps nobody of another out", async (t) => {
  const { port, arrival } = await open(t, { maxPending: 2 });
  const slow = dial(t, port, "127.0.0.2");
  slow.write("SS");
  await once(slow, "connect");
  const others = [dial(t, port), dial(t, port), dial(t, port)];
  await Promise.race(others.map((other) => closed(other)));
  slow.write("H-");
  assert.equal((await arrival).server, "ssh");
});

// --- internal ---

async function open(t: TestContext, more: Partial<PublicPortParts> = {}) {
  const { promise: arrival, resolve } = Promise.withResolvers<Arrival>();
  const sockets: Socket[] = [];
  const to = (server: keyof PublicPortServers) => (socket: Socket) => {
    sockets.push(socket);
    resolve({ server, socket });
  };
  const port = new PublicPort({
    listen: { host: "127.0.0.1", port: 0 },
    servers: {
      ssh: to("ssh"),
      sshInTls: to("sshInTls"),
      direct: to("direct"),
      tunnel: to("tunnel"),
      rpc: to("rpc"),
      web: to("web"),
    },
    logger: silentLogger,
    ...more,
  });
  await port.listen();
  t.after(() => {
    port.close();
    for (const socket of sockets) socket.destroy();
  });
  return { port, arrival };
}

function place(port: PublicPort): { host: string; port: number } {
  return { host: "127.0.0.1", port: Number(port.address.split(":").at(-1)) };
}

function dial(t: TestContext, port: PublicPort, localAddress = "127.0.0.1"): Socket {
  const socket = connect({ ...place(port), localAddress }).on("error", () => {});
  t.after(() => socket.destroy());
  return socket;
}
