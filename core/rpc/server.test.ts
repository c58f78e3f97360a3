import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect as connectTcp, createServer as createTcpServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { ECHO, ECHO_SERVICE, type Text } from "../../test/fixtures/json-rpc.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { type TestAuthority, testAuthority } from "../../test/fixtures/tls.js";
import { isMezError, MezError } from "../errors/error.js";
import type { AuditRecord } from "../plugin/audit.js";
import type { Caller } from "../plugin/caller.js";
import type { HostCredentials } from "../plugin/host-identity.js";
import type { CallContext, RpcDefinition, RpcHandlers, RpcService } from "../plugin/rpc.js";
import { Secret } from "../plugin/secret.js";
import { systemClock } from "../time/clock.js";
import { grpcDialer } from "./client.js";
import { AnonymousCallLimiter } from "./interceptors/limit.js";
import { RpcServer } from "./server.js";

/** A `count` to this pauses between its numbers, like a stream that tells of changes. */
const FOR_EVER = 2 ** 31 - 1;

const EVE: Caller = {
  kind: "user",
  name: "eve",
  roles: ["dev"],
  traits: { internal: {}, external: {} },
  sessionId: "s1",
  mustChangePassword: false,
};

async function credentials(authority: TestAuthority, organization?: string): Promise<HostCredentials> {
  return {
    ...(await authority.issue("localhost", organization === undefined ? {} : { organization })),
    name: "auth",
    id: "0",
    role: "auth",
    sshPrivateKey: new Secret(""),
    sshCertificate: Buffer.alloc(0),
    expiresAt: new Date(),
  };
}

interface Started {
  readonly server: RpcServer;
  readonly address: string;
  readonly authority: TestAuthority;
  readonly audited: AuditRecord[];
  readonly calls: CallContext[];
  leases: number;
  enabled: boolean;
  /** Whether the token `eve` still counts. */
  known: boolean;
  granted: boolean;
}

/** A real server on loopback that knows the token `eve` and grants `echo:use` to whoever is told. */
async function start(t: TestContext, { granted = true, burst = 1000 } = {}): Promise<Started> {
  const authority = await testAuthority();
  const state: Omit<Started, "server" | "address"> = {
    authority,
    audited: [],
    calls: [],
    leases: 0,
    enabled: true,
    known: true,
    granted,
  };
  const handlers: RpcHandlers<typeof ECHO> = {
    say: async ({ text }: Text, call) => {
      state.calls.push(call);
      if (text === "mez")
        throw new MezError("CONFLICT", "no lock with id 7f3a", { detail: "secret reason", fields: { lockId: "7f3a" } });
      if (text === "hold") await once(call.signal, "abort");
      if (text === "bug") throw new TypeError("internal detail");
      return { text };
    },
    count: async function* ({ to }, call) {
      for (let n = 1; n <= to && !call.signal.aborted; n += 1) {
        yield { n };
        if (to === FOR_EVER) await once(call.signal, "abort", { signal: AbortSignal.timeout(5) }).catch(() => {});
      }
    },
    sum: async (requests) => {
      let total = 0;
      for await (const { n } of requests) total += n;
      return { n: total };
    },
  };
  const server = new RpcServer({
    router: (_service, method) =>
      state.enabled
        ? {
            permission: ECHO_SERVICE.permissions[method as keyof typeof ECHO],
            holders: ["session"],
            handler: handlers[method as keyof typeof ECHO] as never,
            lease: () => {
              state.leases += 1;
              return () => {
                state.leases -= 1;
              };
            },
          }
        : null,
    authenticators: () => [
      {
        authenticate: async ({ bearerToken, clientCertificate }) => {
          if (bearerToken === "eve") {
            if (!state.known) throw new MezError("UNAUTHENTICATED", "the session has expired");
            return EVE;
          }
          if (clientCertificate === null) return null;
          const { subject } = new X509Certificate(clientCertificate);
          return {
            kind: "agent",
            id: "0",
            name: subject.slice("CN=".length),
            role: "node",
            certificateSerial: "1",
            certificateExpiresAt: new Date(),
          };
        },
      },
    ],
    authorizer: () => ({ refusal: () => (state.granted ? null : "role dev has no echo:use") }),
    anonymousCalls: new AnonymousCallLimiter({ burst, perSecond: 1 }, systemClock),
    audit: (record) => void state.audited.push(record),
    logger: silentLogger,
    admitAgainEveryMs: 20,
  });
  server.serve(ECHO_SERVICE as unknown as RpcService<RpcDefinition>);
  const address = await server.listen("localhost:0", await credentials(authority));
  t.after(() => server.close());
  return Object.assign(state, { server, address: `localhost:${address.slice(address.lastIndexOf(":") + 1)}` });
}

function dial(t: TestContext, { address, authority }: Started, rest: Partial<Parameters<typeof grpcDialer.dial>[0]> = {}) {
  const connection = grpcDialer.dial({
    addresses: [address],
    trust: { kind: "authorities", certificatesPem: [authority.certificatePem] },
    ...rest,
  });
  t.after(() => connection.close());
  return { connection, echo: connection.client(ECHO) };
}

async function allOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

test("answers calls of every kind, and holds a lease only while it does", async (t) => {
  const server = await start(t);
  const { echo } = dial(t, server, { token: new Secret("eve") });
  assert.deepEqual(await echo.say({ text: "hi" }), { text: "hi" });
  const seen: number[] = [];
  for await (const { n } of echo.count({ to: 1000 })) seen.push(n);
  assert.equal(seen.length, 1000);
  const numbers = async function* () {
    for (const n of [1, 2, 3]) yield { n };
  };
  assert.deepEqual(await echo.sum(numbers()), { n: 6 });
  assert.equal(server.leases, 0);
  assert.match(server.calls[0]?.clientAddress ?? "", /^(127\.0\.0\.1|::1)$/);
});

test("asks nobody for more requests when the call is over", async (t) => {
  const server = await start(t);
  const { echo } = dial(t, server, { token: new Secret("mallory") });
  const ended = Promise.withResolvers<void>();
  async function* requests() {
    try {
      for (;;) yield { n: 1, more: "x".repeat(65_536) };
    } finally {
      ended.resolve();
    }
  }
  await assert.rejects(echo.sum(requests()), (error) => isMezError(error, "UNAUTHENTICATED"));
  await ended.promise;
  const stopped = AbortSignal.abort();
  await assert.rejects(echo.sum(requests(), { signal: stopped }), (error) => isMezError(error, "CANCELLED"));
});

const WITHDRAWALS = [
  { name: "whose session has ended", change: { known: false }, code: "UNAUTHENTICATED" },
  { name: "who lost the permission", change: { granted: false }, code: "ACCESS_DENIED" },
] as const;

for (const { name, change, code } of WITHDRAWALS) {
  test(`ends an open stream of a caller ${name}`, async (t) => {
    const server = await start(t);
    const { echo } = dial(t, server, { token: new Secret("eve") });
    const numbers = echo.count({ to: FOR_EVER })[Symbol.asyncIterator]();
    assert.deepEqual((await numbers.next()).value, { n: 1 });
    Object.assign(server, change);
    await assert.rejects(
      async () => {
        while (!(await numbers.next()).done);
      },
      (error) => isMezError(error, code),
    );
    assert.equal(server.leases, 0);
  });
}

test("carries code, message and fields of an error, and neither detail nor cause", async (t) => {
  const { echo } = dial(t, await start(t));
  await assert.rejects(
    echo.say({ text: "mez" }),
    (error) =>
      isMezError(error, "CONFLICT") &&
      error.message === "no lock with id 7f3a" &&
      error.fields.lockId === "7f3a" &&
      error.detail === undefined,
  );
  await assert.rejects(
    echo.say({ text: "bug" }),
    (error) => isMezError(error, "INTERNAL") && !error.message.includes("internal detail"),
  );
});

test("refuses a caller without credentials, an unknown token, and one without the permission, which is audited", async (t) => {
  const server = await start(t, { granted: false });
  const list = async (token?: string): Promise<unknown> => {
    const { echo } = dial(t, server, token === undefined ? {} : { token: new Secret(token) });
    return allOf(echo.count({ to: 1 }));
  };
  await assert.rejects(list(), (error) => isMezError(error, "UNAUTHENTICATED"));
  await assert.rejects(list("mallory"), (error) => isMezError(error, "UNAUTHENTICATED"));
  assert.deepEqual(server.audited, []);
  await assert.rejects(list("eve"), (error) => isMezError(error, "ACCESS_DENIED"));
  assert.deepEqual(
    server.audited.map(({ type, userName, resourceName }) => [type, userName, resourceName]),
    [["authz.denied", "eve", "/test.v1.Echo/Count"]],
  );
});

test("answers PLUGIN_NOT_ENABLED when the plugin behind a known service is off", async (t) => {
  const server = await start(t);
  server.enabled = false;
  const { echo } = dial(t, server);
  await assert.rejects(echo.say({ text: "hi" }), (error) => isMezError(error, "PLUGIN_NOT_ENABLED"));
});

test("knows an agent by its certificate of the Host CA, and takes one of another CA for none", async (t) => {
  const server = await start(t);
  const identity = async (authority: TestAuthority) => {
    const { certificatePem, privateKeyPem } = await authority.issue("web-01");
    return { certificatePem, privateKeyPem };
  };
  const own = dial(t, server, { identity: await identity(server.authority) });
  assert.equal((await allOf(own.echo.count({ to: 2 }))).length, 2);
  const foreign = dial(t, server, { identity: await identity(await testAuthority("Other CA")) });
  await assert.rejects(allOf(foreign.echo.count({ to: 2 })), (error) => isMezError(error, "UNAUTHENTICATED"));
});

test("limits calls without credentials by address", async (t) => {
  const { echo } = dial(t, await start(t, { burst: 3 }));
  const outcomes = await Promise.allSettled(Array.from({ length: 6 }, () => echo.say({ text: "hi" })));
  const refused = outcomes.filter((outcome) => outcome.status === "rejected").map(({ reason }) => reason as unknown);
  assert.ok(refused.length >= 2 && refused.every((reason) => isMezError(reason, "LIMIT_EXCEEDED")));
});

test("both sides see the same fingerprint, and new connections get a replaced certificate", async (t) => {
  const server = await start(t);
  const first = dial(t, server, { trust: { kind: "none" } });
  await first.echo.say({ text: "hi" });
  const seen = await first.connection.serverFingerprint();
  assert.deepEqual(seen, server.calls[0]?.serverFingerprint);
  const renewed = await credentials(server.authority);
  server.server.use(renewed);
  const second = dial(t, server, { trust: { kind: "none" } });
  const expected = createHash("sha256").update(new X509Certificate(renewed.certificatePem).raw).digest();
  assert.deepEqual(await second.connection.serverFingerprint(), expected);
  await second.echo.say({ text: "hi" });
  assert.deepEqual(server.calls[1]?.serverFingerprint, expected);
  await first.echo.say({ text: "still here" });
});

test("a connection knows the CA of the server that it checked, and none of one that it did not check", async (t) => {
  const server = await start(t);
  const trusted = [await testAuthority("Other CA"), server.authority].map(({ certificatePem }) => certificatePem);
  const checked = dial(t, server, { trust: { kind: "authorities", certificatesPem: trusted } });
  await checked.echo.say({ text: "hi" });
  const spki = new X509Certificate(server.authority.certificatePem).publicKey.export({ format: "der", type: "spki" });
  assert.deepEqual(checked.connection.serverAuthority(), createHash("sha256").update(spki).digest());
  const { echo, connection } = dial(t, server, { trust: { kind: "none" } });
  await echo.say({ text: "hi" });
  assert.equal(connection.serverAuthority(), null);
});

test("a client refuses a server of another CA, and says what it could not reach", async (t) => {
  const server = await start(t);
  const other = await testAuthority("Other CA");
  const { echo } = dial(t, server, { trust: { kind: "authorities", certificatesPem: [other.certificatePem] } });
  await assert.rejects(
    echo.say({ text: "hi" }, { timeoutMs: 3000 }),
    (error) => isMezError(error, "UNAVAILABLE", "TIMEOUT") && error.message.includes(server.address),
  );
  assert.equal(server.calls.length, 0);
});

test("a client goes on to the next address when one does not answer, and checks an IP address too", async (t) => {
  const server = await start(t);
  const [port] = server.address.split(":").slice(-1);
  const failing = dial(t, server, { addresses: ["127.0.0.1:1", server.address] });
  assert.deepEqual(await failing.echo.say({ text: "hi" }), { text: "hi" });
  const byAddress = dial(t, server, { addresses: [`127.0.0.1:${port}`] });
  await assert.rejects(byAddress.echo.say({ text: "hi" }, { timeoutMs: 3000 }), (error) =>
    isMezError(error, "UNAVAILABLE", "TIMEOUT"),
  );
});

test("a client leaves a server that hangs for one that answers, also after it was the one that answered", {
  timeout: 30_000,
}, async (t) => {
  const sockets = new Set<Socket>();
  // As with a process that is stopped: the system accepts connections, and nobody answers.
  const hung = createTcpServer((socket) => sockets.add(socket)).listen(0, "127.0.0.1");
  await once(hung, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    hung.close();
  });
  const server = await start(t);
  const addresses = [`127.0.0.1:${(hung.address() as AddressInfo).port}`, server.address];
  const { connection, echo } = dial(t, server, { addresses });
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
    const server = await start(t);
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
    const { echo } = dial(t, server, { addresses: [places[first], places[last]], answered });
    assert.deepEqual((await echo.say({ text: "hi" })).text, "hi");
    assert.deepEqual(noted, [server.address]);
  });

test("a call that a server took before it was gone is made at no other, and the next one is", async (t) => {
  const server = await start(t);
  const links: Socket[] = [];
  const way = createTcpServer((socket) => {
    const link = connectTcp(Number(server.address.split(":").at(-1)), "localhost");
    for (const end of [socket, link]) links.push(end.on("error", () => {}));
    socket.pipe(link).pipe(socket);
  }).listen(0, "localhost");
  await once(way, "listening");
  const { echo } = dial(t, server, { addresses: [`localhost:${(way.address() as AddressInfo).port}`, server.address] });
  const held = echo.say({ text: "hold" });
  while (server.calls.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  way.close();
  for (const link of links) link.destroy();
  await assert.rejects(held, (error) => isMezError(error, "UNAVAILABLE"));
  assert.equal(server.calls.length, 1);
  assert.deepEqual(await echo.say({ text: "next" }), { text: "next" });
  assert.equal(server.calls.length, 2);
});

test("serves a public call whatever token came along, and no text with a NUL byte", async (t) => {
  const server = await start(t);
  const { echo } = dial(t, server, { token: new Secret("expired") });
  assert.deepEqual(await echo.say({ text: "hi" }), { text: "hi" });
  assert.equal(server.calls[0]?.caller.kind, "anonymous");
  await assert.rejects(
    echo.say({ text: "a\0b" }),
    (error) => isMezError(error, "INVALID_ARGUMENT") && /NUL byte/.test(error.message),
  );
});

test("a client refuses a proxy or node of the cluster that took the auth service's name", async (t) => {
  const server = await start(t);
  server.server.use(await credentials(server.authority, "mezite:role:node"));
  const { echo } = dial(t, server);
  await assert.rejects(echo.say({ text: "password" }, { timeoutMs: 3000 }), (error) =>
    isMezError(error, "UNAVAILABLE", "TIMEOUT"),
  );
  assert.equal(server.calls.length, 0);
  server.server.use(await credentials(server.authority, "mezite:role:auth"));
  assert.deepEqual(await dial(t, server).echo.say({ text: "hi" }), { text: "hi" });
});

test("a stream ends on both sides when its caller goes away", async (t) => {
  const server = await start(t);
  const { echo } = dial(t, server, { token: new Secret("eve") });
  for await (const { n } of echo.count({ to: Number.MAX_SAFE_INTEGER })) if (n === 3) break;
  for (let tries = 0; server.leases > 0 && tries < 200; tries += 1) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(server.leases, 0);
});

test("closes connections that speak no TLS 1.3, and goes on serving", async (t) => {
  const server = await start(t);
  const port = Number(server.address.split(":")[1]);
  const garbage = connectTcp(port, "localhost").on("error", () => {});
  garbage.write("GET / HTTP/1.1\r\n\r\n");
  await new Promise((resolve) => garbage.once("close", resolve));
  const old = connectTls({ port, host: "localhost", maxVersion: "TLSv1.2", rejectUnauthorized: false }).on("error", () => {});
  await new Promise((resolve) => old.once("close", resolve));
  const { echo } = dial(t, server);
  assert.deepEqual(await echo.say({ text: "hi" }), { text: "hi" });
});
