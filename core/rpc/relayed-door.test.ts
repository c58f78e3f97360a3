import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { closed } from "../../test/fixtures/closed.js";
import { eventually } from "../../test/fixtures/eventually.js";
import { ECHO, ECHO_SERVICE, type Text } from "../../test/fixtures/json-rpc.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { type TestAuthority, testAuthority } from "../../test/fixtures/tls.js";
import type { AuthDoor } from "../plugin/auth-door.js";
import type { HostCredentials, HostIdentity } from "../plugin/host-identity.js";
import type { CallContext, RpcDefinition, RpcHandlers, RpcService } from "../plugin/rpc.js";
import { Secret } from "../plugin/secret.js";
import { systemClock } from "../time/clock.js";
import { grpcDialer } from "./client.js";
import { AnonymousCallLimiter } from "./interceptors/limit.js";
import { RelayedDoor } from "./relayed-door.js";
import { RELAY_ALPN } from "./relayed-origin.js";
import { RpcServer } from "./server.js";

const CLIENT = "192.0.2.7";
/** More than are in the handshake at once. */
const SHARE = 3;

test("a proxy's door passes calls on end to end, with the address of the client", async (t) => {
  const bed = await start(t);
  const { echo, connection } = await dial(t, bed, relayedBy(bed, await identity(bed, "proxy")));
  assert.deepEqual(await echo.say({ text: "hi" }), { text: "hi" });
  assert.deepEqual([bed.calls[0]?.clientAddress, bed.calls[0]?.caller.kind], [CLIENT, "anonymous"]);
  assert.deepEqual(await connection.serverFingerprint(), bed.calls[0]?.serverFingerprint);
  let last = 0;
  for await (const { n } of echo.count({ to: 1000 })) last = n;
  assert.equal(last, 1000);
});

test("a client's certificate arrives through the door; the proxy's own says nothing about the client", async (t) => {
  const bed = await start(t);
  const through = relayedBy(bed, await identity(bed, "proxy"));
  const node = await bed.authority.issue("web-01", { organization: "mezite:role:node" });
  const [{ echo }, other] = [await dial(t, bed, through, node), await dial(t, bed, through)];
  await echo.sum(numbers());
  await assert.rejects(other.echo.sum(numbers()), /needs a login session/);
  assert.deepEqual(
    bed.calls.map(({ caller }) => (caller.kind === "agent" ? caller.name : caller.kind)),
    ["web-01"],
  );
});

test("many clients at once are kept apart, also those that a proxy says are one", async (t) => {
  const bed = await start(t);
  // With one address alone it has time for all of them.
  const through = relayedBy(bed, await identity(bed, "proxy"), { port: 4711, first: [] });
  const names = Array.from({ length: 20 }, (_, index) => `web-${index}`);
  const clients = await Promise.all(
    names.map(async (name) => dial(t, bed, through, await bed.authority.issue(name, { organization: "mezite:role:node" }))),
  );
  await Promise.all(clients.map(({ echo }) => echo.sum(numbers())));
  assert.deepEqual(bed.calls.map(({ caller }) => (caller.kind === "agent" ? caller.name : caller.kind)).sort(), names.sort());
});

test("the door of the process itself serves connections of which the first bytes were read", async (t) => {
  const bed = await start(t);
  const { echo } = await dial(t, bed, { accept: (connection) => bed.server.accept(connection) });
  assert.deepEqual(await echo.say({ text: "hi" }), { text: "hi" });
});

for (const role of ["node", "auth"] as const) {
  test(`a peer with the certificate of a ${role} passes nothing on`, async (t) => {
    const bed = await start(t);
    const { echo } = await dial(t, bed, relayedBy(bed, await identity(bed, role)));
    await assert.rejects(echo.say({ text: "hi" }));
    assert.equal(bed.calls.length, 0);
  });
}

test("a peer without a certificate, with one of another CA, or without a PROXY line is closed", async (t) => {
  const bed = await start(t);
  const foreign = await (await testAuthority()).issue("proxy", { organization: "mezite:role:proxy" });
  const proxy = await bed.authority.issue("proxy", { organization: "mezite:role:proxy" });
  for (const [credentials, text] of [
    [null, "PROXY TCP4 192.0.2.7 192.0.2.1 1 443\r\n"],
    [foreign, "PROXY TCP4 192.0.2.7 192.0.2.1 1 443\r\n"],
    [proxy, "GET / HTTP/1.1\r\n"],
    [proxy, "x".repeat(200)],
    [proxy, "PROXY TCP4 192.0.2.7 192.0.2.1 1 443\r\nno TLS"],
  ] as const) {
    const socket = await relayConnection(bed, credentials);
    socket.on("error", () => {}).resume();
    const closed = once(socket, "close");
    socket.write(text);
    await closed;
  }
});

test("a door goes on to a server that serves somebody, and lets one say why when none does", async (t) => {
  const authority = await testAuthority();
  const [first, second] = [await start(t, { authority }), await start(t, { authority })];
  const through = relayedBy(first, await identity(first, "proxy"), { more: [second.address] });
  const says = async () => (await dial(t, first, through)).echo.say({ text: "hi" });
  first.isBlind = true;
  await says();
  assert.deepEqual([first.calls.length, second.calls.length], [0, 1]);
  second.isBlind = true;
  await assert.rejects(says(), /this auth server cannot reach its database/);
  first.isBlind = false;
  await says();
  assert.deepEqual([first.calls.length, second.calls.length], [1, 1]);
});

test("a proxy that has not heard of servers that serve nobody is served by one all the same", async (t) => {
  const bed = await start(t);
  bed.isBlind = true;
  const socket = await relayConnection(bed, await bed.authority.issue("proxy", { organization: "mezite:role:proxy" }));
  assert.equal(socket.alpnProtocol, RELAY_ALPN);
  socket.destroy();
});

test("a relayed connection is no place for another one", async (t) => {
  const bed = await start(t);
  const proxy = await bed.authority.issue("proxy", { organization: "mezite:role:proxy" });
  const outer = await relayConnection(bed, proxy);
  outer.on("error", () => {}).write("PROXY TCP4 192.0.2.7 192.0.2.1 1 443\r\n");
  const inner = connectTls({ socket: outer, ...tlsOf(bed, proxy) });
  await closed(inner);
});

for (const isRelayed of [false, true]) {
  test(`strangers of one network have a share of connections${isRelayed ? ", which is that of the client and not of its proxy" : ""}`, async (t) => {
    const bed = await start(t, { strangersPerNetwork: SHARE });
    const node = await bed.authority.issue("web-01", { organization: "mezite:role:node" });
    const proxy = await bed.authority.issue("proxy", { organization: "mezite:role:proxy" });
    const opened: TLSSocket[] = [];
    t.after(() => opened.forEach((socket) => void socket.destroy()));
    const open = async (who: typeof node | null, client = CLIENT): Promise<TLSSocket> => {
      const socket = isRelayed ? await throughProxy(bed, proxy, client, who) : await relayConnection(bed, who, "h2");
      opened.push(socket.resume());
      return socket;
    };
    const first = await open(null);
    for (let count = 1; count < SHARE; count += 1) await open(null);
    await closed(await open(null));
    for (let count = 0; count <= SHARE; count += 1) await open(node);
    if (isRelayed) assert.equal((await open(null, "198.51.100.9")).destroyed, false);
    first.destroy();
    // The server may see the end of that one later than the beginning of the next.
    await eventually(async () => {
      const closed = once(await open(null), "close").then(() => "closed");
      return (await Promise.race([closed, delay(200, "open")])) === "open";
    });
  });
}

// --- internal ---

interface Bed {
  readonly authority: TestAuthority;
  readonly server: RpcServer;
  readonly address: string;
  readonly calls: CallContext[];
  isBlind: boolean;
}

interface BedOptions {
  readonly strangersPerNetwork?: number;
  readonly authority?: TestAuthority;
}

async function start(t: TestContext, { strangersPerNetwork, authority: given }: BedOptions = {}): Promise<Bed> {
  const authority = given ?? (await testAuthority());
  const state = { isBlind: false };
  const calls: CallContext[] = [];
  const handlers: Partial<RpcHandlers<typeof ECHO>> = {
    say: async ({ text }: Text, call) => {
      calls.push(call);
      return { text };
    },
    count: async function* ({ to }) {
      for (let n = 1; n <= to; n += 1) yield { n };
    },
    sum: async (_numbers, call) => {
      calls.push(call);
      return { n: 0 };
    },
  };
  const server = new RpcServer({
    router: (_service, method) => ({
      permission: method === "sum" ? "echo:use" : "public",
      holders: ["node"],
      handler: handlers[method as keyof typeof ECHO] as never,
      lease: () => () => {},
    }),
    authenticators: () => [{ authenticate: async ({ clientCertificate }) => callerOf(clientCertificate) }],
    authorizer: () => ({ refusal: (caller) => (caller.kind === "agent" ? null : "no permission") }),
    anonymousCalls: new AnonymousCallLimiter({ burst: 1000, perSecond: 1 }, systemClock),
    audit: () => {},
    logger: silentLogger,
    isBlind: () => state.isBlind,
    ...(strangersPerNetwork === undefined ? {} : { strangersPerNetwork }),
  });
  server.serve(ECHO_SERVICE as unknown as RpcService<RpcDefinition>);
  const address = await server.listen("127.0.0.1:0", await credentials(authority, "auth"));
  t.after(() => server.close());
  return Object.assign(state, { authority, server, calls, address: `localhost:${address.split(":").at(-1)}` });
}

function callerOf(certificate: Buffer | null) {
  if (certificate === null) return null;
  const { O, CN } = new X509Certificate(certificate).toLegacyObject().subject as { O: string; CN: string };
  const role = O.slice("mezite:role:".length) as "proxy" | "node";
  return { kind: "agent", id: "0", name: CN, role, certificateSerial: "1", certificateExpiresAt: new Date() } as const;
}

async function credentials(authority: TestAuthority, role: HostCredentials["role"]): Promise<HostCredentials> {
  return {
    ...(await authority.issue("localhost", { organization: `mezite:role:${role}` })),
    ...{ name: "localhost", id: "0", role, expiresAt: new Date() },
    sshPrivateKey: new Secret(""),
    sshCertificate: Buffer.alloc(0),
  };
}

async function identity({ authority }: Bed, role: HostCredentials["role"]): Promise<HostIdentity> {
  const current = await credentials(authority, role);
  return {
    role,
    current: () => current,
    onChange: () => () => {},
    connection: () => {
      throw new Error("not asked for");
    },
  };
}

interface RelayOptions {
  /** Of every client. */
  readonly port?: number;
  /** Asked before ours; default one that is not there. */
  readonly first?: readonly string[];
  /** Other auth servers. */
  readonly more?: readonly string[];
}

/** The door of a proxy whose clients all seem to be at `CLIENT`. */
function relayedBy(
  { address }: Bed,
  proxy: HostIdentity,
  { port, first = ["localhost:1"], more = [] }: RelayOptions = {},
): AuthDoor {
  const door = new RelayedDoor({ identity: () => proxy, addresses: [...first, address, ...more], logger: silentLogger });
  return {
    accept: (connection) => {
      Object.defineProperty(connection, "remoteAddress", { value: CLIENT });
      if (port !== undefined) Object.defineProperty(connection, "remotePort", { value: port });
      door.accept(connection);
    },
  };
}

/** Calls by way of a port that looks at the first bytes, as a public port does. */
async function dial(t: TestContext, { authority }: Bed, door: AuthDoor, who?: Awaited<ReturnType<TestAuthority["issue"]>>) {
  const sockets = new Set<Socket>();
  const port = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.once("readable", () => {
      socket.unshift(socket.read());
      door.accept(socket);
    });
  }).listen(0, "127.0.0.1");
  await once(port, "listening");
  const connection = grpcDialer.dial({
    addresses: [`localhost:${(port.address() as AddressInfo).port}`],
    trust: { kind: "authorities", certificatesPem: [authority.certificatePem] },
    ...(who === undefined ? {} : { identity: who }),
  });
  t.after(() => {
    connection.close();
    for (const socket of sockets) socket.destroy();
    port.close();
  });
  return { connection, echo: connection.client(ECHO) };
}

function tlsOf({ authority }: Bed, who: Awaited<ReturnType<TestAuthority["issue"]>> | null, protocol = RELAY_ALPN) {
  const own = who === null ? {} : { cert: who.certificatePem, key: who.privateKeyPem.expose() };
  return { ca: authority.certificatePem, servername: "localhost", ALPNProtocols: [protocol], ...own };
}

async function relayConnection(
  bed: Bed,
  who: Awaited<ReturnType<TestAuthority["issue"]>> | null,
  protocol = RELAY_ALPN,
): Promise<TLSSocket> {
  const socket = connectTls({ port: Number(bed.address.split(":")[1]), host: "127.0.0.1", ...tlsOf(bed, who, protocol) });
  socket.on("error", () => {});
  await once(socket, "secureConnect");
  return socket;
}

async function throughProxy(
  bed: Bed,
  proxy: Awaited<ReturnType<TestAuthority["issue"]>>,
  client: string,
  who: Awaited<ReturnType<TestAuthority["issue"]>> | null,
): Promise<TLSSocket> {
  const outer = await relayConnection(bed, proxy);
  outer.write(`PROXY TCP4 ${client} 192.0.2.1 1 443\r\n`);
  const socket = connectTls({ socket: outer, ...tlsOf(bed, who, "h2") });
  socket.on("error", () => {});
  await once(socket, "secureConnect");
  return socket;
}

async function* numbers() {
  yield { n: 1 };
}
