import assert from "node:assert/strict";
import { promises as dns } from "node:dns";
import { once } from "node:events";
import { type AddressInfo, connect as connectTcp, createServer as createTcpServer, type Server, type Socket } from "node:net";
import { test } from "node:test";
import { dialEcho, FOR_EVER, serverCredentials, startEchoServer } from "../../test/fixtures/echo-rpc-server.js";
import { testAuthority } from "../../test/fixtures/tls.js";
import { isMezError } from "../errors/error.js";
import { Secret } from "../plugin/secret.js";

test("a client refuses a server of another CA, and says what it could not reach", async (t) => {
  const server = await startEchoServer(t);
  const other = await testAuthority("Other CA");
  const { echo } = dialEcho(t, server, { trust: { kind: "authorities", certificatesPem: [other.certificatePem] } });
  await assert.rejects(
    echo.say({ text: "hi" }, { timeoutMs: 3000 }),
    (error) => isMezError(error, "UNAVAILABLE", "TIMEOUT") && error.message.includes(server.address),
  );
  assert.equal(server.calls.length, 0);
});

test("a client goes on to the next address when one does not answer, and checks an IP address too", async (t) => {
  const server = await startEchoServer(t);
  const [port] = server.address.split(":").slice(-1);
  const failing = dialEcho(t, server, { addresses: ["127.0.0.1:1", server.address] });
  assert.deepEqual(await failing.echo.say({ text: "hi" }), { text: "hi" });
  const byAddress = dialEcho(t, server, { addresses: [`127.0.0.1:${port}`] });
  await assert.rejects(byAddress.echo.say({ text: "hi" }, { timeoutMs: 3000 }), (error) =>
    isMezError(error, "UNAVAILABLE", "TIMEOUT"),
  );
});

test("a client leaves a server that hangs for one that answers, also after it was the one that answered", {
  timeout: 120_000,
}, async (t) => {
  const sockets = new Set<Socket>();
  // As with a process that is stopped: the system accepts connections, and nobody answers.
  const hung = createTcpServer((socket) => sockets.add(socket)).listen(0, "127.0.0.1");
  await once(hung, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    hung.close();
  });
  const server = await startEchoServer(t);
  const addresses = [`127.0.0.1:${(hung.address() as AddressInfo).port}`, server.address];
  const { connection, echo } = dialEcho(t, server, { addresses });
  assert.deepEqual(await echo.say({ text: "hi" }), { text: "hi" });
  assert.equal(sockets.size > 0, true);
  const asked = sockets.size;
  assert.deepEqual(await echo.say({ text: "again" }), { text: "again" });
  assert.equal(sockets.size, asked, "not asked again while the other one answers");
  connection.moveOn?.();
  assert.deepEqual(await echo.say({ text: "back" }), { text: "back" });
});

for (const [what, first, last] of [
  ["the one that answered last when the first one hangs", "hung", "alive"],
  ["the first one when the one that answered last hangs by now", "alive", "hung"],
  ["the one that answered last when nobody listens at the first", "gone", "alive"],
] as const)
  test(`a client takes ${what}`, async (t) => {
    const server = await startEchoServer(t);
    const open: Socket[] = [];
    const hung = createTcpServer((socket) => void open.push(socket)).listen(0, "127.0.0.1");
    t.after(() => {
      for (const socket of open) socket.destroy();
      hung.close();
    });
    await once(hung, "listening");
    const places = { hung: `127.0.0.1:${(hung.address() as AddressInfo).port}`, alive: server.address, gone: "127.0.0.1:1" };
    const noted: string[] = [];
    const answered = { last: () => places[last], note: (address: string) => void noted.push(address) };
    const { echo } = dialEcho(t, server, { addresses: [places[first], places[last]], answered });
    assert.deepEqual((await echo.say({ text: "hi" })).text, "hi");
    assert.deepEqual(noted, [server.address]);
  });

test("a call that a server took before it was gone is made at no other, and the next one is", async (t) => {
  const server = await startEchoServer(t);
  const links: Socket[] = [];
  const way = createTcpServer((socket) => {
    const link = connectTcp(Number(server.address.split(":").at(-1)), "localhost");
    for (const end of [socket, link]) links.push(end.on("error", () => {}));
    socket.pipe(link).pipe(socket);
  }).listen(0, "localhost");
  await once(way, "listening");
  const { echo } = dialEcho(t, server, { addresses: [`localhost:${(way.address() as AddressInfo).port}`, server.address] });
  const held = echo.say({ text: "hold" });
  while (server.calls.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  way.close();
  for (const link of links) link.destroy();
  await assert.rejects(held, (error) => isMezError(error, "UNAVAILABLE"));
  assert.equal(server.calls.length, 1);
  assert.deepEqual(await echo.say({ text: "next" }), { text: "next" });
  assert.equal(server.calls.length, 2);
});

test("a call that a server refused at its door, since it can serve nobody, is made at the next, once at each", async (t) => {
  const first = await startEchoServer(t);
  const second = await startEchoServer(t, { authority: first.authority });
  const { echo } = dialEcho(t, first, { addresses: [first.address, second.address] });
  first.blind = true;
  assert.deepEqual(await echo.say({ text: "hi" }), { text: "hi" });
  assert.deepEqual([first.calls.length, second.calls.length], [0, 1]);
  const { echo: another } = dialEcho(t, first, { addresses: [first.address, second.address], token: new Secret("eve") });
  const counted: number[] = [];
  for await (const { n } of another.count({ to: 3 })) counted.push(n);
  assert.deepEqual(counted, [1, 2, 3]);
  second.blind = true;
  await assert.rejects(
    echo.say({ text: "hi" }),
    (error) => isMezError(error, "UNAVAILABLE") && /try another/.test(error.message),
  );
  first.blind = false;
  assert.deepEqual(await echo.say({ text: "back" }), { text: "back" });
  assert.deepEqual([first.calls.length, second.calls.length], [1, 1]);
});

for (const who of ["a person", "a machine"] as const)
  test(`${who} that knows one name alone connects anew when the server behind it serves nobody, and not for every call`, async (t) => {
    const first = await startEchoServer(t);
    const second = await startEchoServer(t, { authority: first.authority });
    const links: Socket[] = [];
    let reached = 0;
    // A balancer that gives its servers in turn.
    const balancer = createTcpServer((socket) => {
      const { address } = [first, second][reached % 2] ?? first;
      reached += 1;
      const link = connectTcp(Number(address.split(":").at(-1)), "localhost");
      for (const end of [socket, link]) links.push(end.on("error", () => {}));
      socket.pipe(link).pipe(socket);
    }).listen(0, "localhost");
    await once(balancer, "listening");
    t.after(() => {
      for (const link of links) link.destroy();
      balancer.close();
    });
    const identity = who === "a machine" ? { identity: await first.authority.issue("web-01") } : {};
    const { echo } = dialEcho(t, first, { addresses: [`localhost:${(balancer.address() as AddressInfo).port}`], ...identity });
    assert.deepEqual(await echo.say({ text: "hi" }), { text: "hi" });
    first.blind = true;
    assert.deepEqual(await echo.say({ text: "again" }), { text: "again" });
    assert.deepEqual([first.calls.length, second.calls.length, reached], [1, 1, 2]);
    second.blind = true;
    // However long the calls take, the time until it may connect anew once more does not pass.
    t.mock.method(performance, "now", () => 1_000_000);
    for (let times = 0; times < 10; times += 1)
      await assert.rejects(
        echo.say({ text: "nobody" }),
        (error) => isMezError(error, "UNAVAILABLE") && /try another/.test(error.message),
      );
    assert.equal(reached, who === "a machine" ? 3 : 5);
    for (const server of [first, second]) server.blind = false;
    assert.deepEqual(await echo.say({ text: "back" }), { text: "back" });
  });

test("a client goes on to the next address of the only name, and from there when it is gone", async (t) => {
  const first = await startEchoServer(t);
  const second = await startEchoServer(t, { authority: first.authority });
  const links: Socket[] = [];
  const ways = [first, second].map(({ address }) =>
    createTcpServer((socket) => {
      const link = connectTcp(Number(address.split(":").at(-1)), "localhost");
      for (const end of [socket, link]) links.push(end.on("error", () => {}));
      socket.pipe(link).pipe(socket);
    }),
  );
  const [near, far] = ways as [Server, Server];
  await once(near.listen(0, "127.0.0.1"), "listening");
  const { port } = near.address() as AddressInfo;
  await once(far.listen(port, "127.0.0.2"), "listening");
  t.after(() => {
    for (const link of links) link.destroy();
    for (const way of ways) way.close();
  });
  const lookup = dns.lookup;
  const several = ["127.0.0.1", "127.0.0.2"].map((address) => ({ address, family: 4 }));
  t.mock.method(dns, "lookup", async (name: string, options: never) =>
    name === "localhost" && (options as { all?: boolean })?.all === true ? several : lookup(name, options),
  );
  const { echo } = dialEcho(t, first, { addresses: [`localhost:${port}`], identity: await first.authority.issue("web-01") });
  assert.deepEqual(await echo.say({ text: "hi" }), { text: "hi" });
  first.blind = true;
  for (const text of ["one", "two"]) assert.deepEqual(await echo.say({ text }), { text });
  assert.deepEqual([first.calls.length, second.calls.length], [1, 2]);
  first.blind = false;
  far.close();
  for (const link of links) link.destroy();
  await echo.say({ text: "lost" }).catch((error: unknown) => assert.ok(isMezError(error, "UNAVAILABLE")));
  assert.deepEqual(await echo.say({ text: "back" }), { text: "back" });
  assert.ok(first.calls.length > 1);
});

test("a stream that has begun is not begun again when its server goes blind", async (t) => {
  const first = await startEchoServer(t);
  const second = await startEchoServer(t, { authority: first.authority });
  const { echo } = dialEcho(t, first, { addresses: [first.address, second.address], token: new Secret("eve") });
  const seen: number[] = [];
  const counting = async (): Promise<void> => {
    for await (const { n } of echo.count({ to: FOR_EVER })) {
      seen.push(n);
      first.blind = true;
    }
  };
  await assert.rejects(counting(), (error) => isMezError(error, "UNAVAILABLE"));
  assert.deepEqual(
    seen,
    seen.map((_, index) => index + 1),
  );
});

test("a client with patience asks again until a server can serve somebody, says once that it does, and stops when it is told to", async (t) => {
  const server = await startEchoServer(t);
  server.blind = true;
  const notes: string[] = [];
  const over = new AbortController();
  const onWait = (reason: string): void => {
    notes.push(reason);
    setTimeout(() => {
      server.blind = false;
    }, 1_500);
  };
  const patience = { seconds: 60, onWait, signal: over.signal };
  const { echo } = dialEcho(t, server, { patience, token: new Secret("eve") });
  assert.deepEqual(await echo.say({ text: "hi" }), { text: "hi" });
  assert.equal(server.calls.length, 1);
  server.blind = true;
  setTimeout(() => {
    server.blind = false;
  }, 500);
  const counted: number[] = [];
  for await (const { n } of echo.count({ to: 3 })) counted.push(n);
  assert.deepEqual(counted, [1, 2, 3]);
  assert.equal(notes.length, 1);
  server.blind = true;
  const waiting = echo.say({ text: "never" });
  setTimeout(() => over.abort(), 100);
  await assert.rejects(waiting, (error) => isMezError(error, "UNAVAILABLE"));
  assert.equal(server.calls.length, 1);
});

test("a client's patience ends; a call that a server did look at is not made again, nor one that it will never look at", async (t) => {
  const server = await startEchoServer(t);
  const notes: string[] = [];
  const patience = { seconds: 2, onWait: (reason: string) => void notes.push(reason), signal: new AbortController().signal };
  const { echo } = dialEcho(t, server, { patience });
  await assert.rejects(echo.say({ text: "mez" }), (error) => isMezError(error, "CONFLICT"));
  assert.deepEqual([notes.length, server.calls.length], [0, 1]);
  Object.assign(server, { blind: true, outdated: true });
  await assert.rejects(echo.say({ text: "hi" }), (error) => isMezError(error, "UNAVAILABLE") && /too old/.test(error.message));
  assert.deepEqual(notes, [], "who is too old stays it");
  server.outdated = false;
  await assert.rejects(
    echo.say({ text: "hi" }),
    (error) => isMezError(error, "UNAVAILABLE") && /try another/.test(error.message),
  );
  assert.equal(notes.length, 1);
});

test("a client refuses a proxy or node of the cluster that took the auth service's name", async (t) => {
  const server = await startEchoServer(t);
  server.server.use(await serverCredentials(server.authority, "mezite:role:node"));
  const { echo } = dialEcho(t, server);
  await assert.rejects(echo.say({ text: "password" }, { timeoutMs: 3000 }), (error) =>
    isMezError(error, "UNAVAILABLE", "TIMEOUT"),
  );
  assert.equal(server.calls.length, 0);
  server.server.use(await serverCredentials(server.authority, "mezite:role:auth"));
  assert.deepEqual(await dialEcho(t, server).echo.say({ text: "hi" }), { text: "hi" });
});
