import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectTcp } from "node:net";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import { ChannelCredentials, Client, compressionAlgorithms, Metadata, status } from "@grpc/grpc-js";
import { dialEcho, FOR_EVER, serverCredentials, startEchoServer } from "../../test/fixtures/echo-rpc-server.js";
import { eventually } from "../../test/fixtures/eventually.js";
import { ECHO } from "../../test/fixtures/json-rpc.js";
import { type TestAuthority, testAuthority } from "../../test/fixtures/tls.js";
import { isMezError } from "../errors/error.js";
import { Secret } from "../plugin/secret.js";

test("answers calls of every kind, and holds a lease only while it does", async (t) => {
  const server = await startEchoServer(t);
  const { echo } = dialEcho(t, server, { token: new Secret("eve") });
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

test("tells authenticators how much has come over the connection", async (t) => {
  const server = await startEchoServer(t);
  const { echo } = dialEcho(t, server, { token: new Secret("eve") });
  for (const text of ["one", "two", "three"]) await echo.count({ to: text.length })[Symbol.asyncIterator]().next();
  const { bytesRead } = server;
  const onlyGrows = bytesRead.every((bytes, index) => bytes > 0 && bytes >= (bytesRead[index - 1] ?? 0));
  assert.ok(onlyGrows && new Set(bytesRead).size >= 3, String(bytesRead));
});

test("asks nobody for more requests when the call is over", async (t) => {
  const server = await startEchoServer(t);
  const { echo } = dialEcho(t, server, { token: new Secret("mallory") });
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

test("reads long requests of those alone who have shown who they are", async (t) => {
  const server = await startEchoServer(t);
  const machine = await server.authority.issue("web-01");
  const long = "x".repeat(64 * 1024);
  const answers = async (method: "say" | "tell", rest: Parameters<typeof dialEcho>[2], text = long) =>
    await dialEcho(t, server, rest)
      .echo[method]({ text })
      .then(
        () => "answered",
        (error: unknown) => (isMezError(error) ? error.code : "failed"),
      );
  assert.equal(await answers("tell", { token: new Secret("eve") }), "answered");
  assert.equal(await answers("tell", { identity: machine }), "answered");
  assert.equal(await answers("tell", { token: new Secret("mallory") }), "LIMIT_EXCEEDED");
  assert.equal(await answers("tell", {}), "LIMIT_EXCEEDED");
  assert.equal(await answers("tell", {}, "short"), "UNAUTHENTICATED");
  assert.equal(await answers("say", { token: new Secret("eve") }), "LIMIT_EXCEEDED", "what is public needs none of it");
  assert.equal(await answers("say", {}, "x".repeat(60 * 1024)), "answered");
  assert.equal(server.leases, 0);
});

test("counts a compressed request as long as it is unpacked", async (t) => {
  const server = await startEchoServer(t);
  const credentials = ChannelCredentials.createSsl(Buffer.from(server.authority.certificatePem));
  const client = new Client(server.address, credentials, {
    "grpc.default_compression_algorithm": compressionAlgorithms.gzip,
    "grpc.service_config_disable_resolution": 1,
  });
  t.after(() => client.close());
  const { path, requestSerialize, responseDeserialize } = ECHO.tell;
  const answers = (token: string): Promise<string> => {
    const metadata = new Metadata();
    metadata.set("authorization", `Bearer ${token}`);
    return new Promise((resolve) => {
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, { text: "x".repeat(64 * 1024) }, metadata, (error) =>
        resolve(error === null ? "answered" : (status[error.code] ?? "failed")),
      );
    });
  };
  assert.equal(await answers("eve"), "answered");
  assert.equal(await answers("mallory"), "RESOURCE_EXHAUSTED");
});

test("looks at credentials again when the request has come, however long that took", async (t) => {
  const server = await startEchoServer(t);
  const { echo } = dialEcho(t, server, { token: new Secret("eve") });
  const [asked, withdrawn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  async function* requests() {
    asked.resolve();
    await withdrawn.promise;
    yield { n: 1 };
  }
  assert.deepEqual(await echo.tell({ text: "before" }), { text: "before" });
  const late = echo.sum(requests());
  await asked.promise;
  server.known = false;
  withdrawn.resolve();
  await assert.rejects(late, (error) => isMezError(error, "UNAUTHENTICATED"));
});

test("serves nobody whose session ended between the headers of a call and the rest of it", async (t) => {
  const server = await startEchoServer(t);
  const ca = server.authority.certificatePem;
  const session = connectHttp2(`https://${server.address}`, { ca, minVersion: "TLSv1.3" });
  t.after(() => session.destroy());
  const say = async (meanwhile: () => void): Promise<unknown> => {
    const asked = server.bytesRead.length;
    const headers = { ":method": "POST", ":path": ECHO.tell.path, "content-type": "application/grpc", te: "trailers" };
    const call = session.request({ ...headers, authorization: "Bearer eve" });
    const trailers = new Promise<unknown>((resolve) => {
      call.once("trailers", (each) => resolve(each["grpc-status"]));
      call.once("response", (each) => each["grpc-status"] !== undefined && resolve(each["grpc-status"]));
    });
    while (server.bytesRead.length === asked) await new Promise((resolve) => setImmediate(resolve));
    meanwhile();
    const message = ECHO.tell.requestSerialize({ text: "hi" });
    const length = Buffer.alloc(5);
    length.writeUInt32BE(message.length, 1);
    call.resume().end(Buffer.concat([length, message]));
    return trailers;
  };
  assert.equal(await say(() => undefined), "0");
  assert.equal(await say(() => Object.assign(server, { known: false })), String(status.UNAUTHENTICATED));
});

const WITHDRAWALS = [
  { name: "whose session has ended", change: { known: false }, code: "UNAUTHENTICATED" },
  { name: "who lost the permission", change: { granted: false }, code: "ACCESS_DENIED" },
] as const;

for (const { name, change, code } of WITHDRAWALS) {
  test(`ends an open stream of a caller ${name}`, async (t) => {
    const server = await startEchoServer(t);
    const { echo } = dialEcho(t, server, { token: new Secret("eve") });
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
  const { echo } = dialEcho(t, await startEchoServer(t));
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
  const server = await startEchoServer(t, { granted: false });
  const list = async (token?: string): Promise<unknown> => {
    const { echo } = dialEcho(t, server, token === undefined ? {} : { token: new Secret(token) });
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
  const server = await startEchoServer(t);
  server.enabled = false;
  const { echo } = dialEcho(t, server);
  await assert.rejects(echo.say({ text: "hi" }), (error) => isMezError(error, "PLUGIN_NOT_ENABLED"));
});

test("knows an agent by its certificate of the Host CA, and takes one of another CA for none", async (t) => {
  const server = await startEchoServer(t);
  const identity = async (authority: TestAuthority) => {
    const { certificatePem, privateKeyPem } = await authority.issue("web-01");
    return { certificatePem, privateKeyPem };
  };
  const own = dialEcho(t, server, { identity: await identity(server.authority) });
  assert.equal((await allOf(own.echo.count({ to: 2 }))).length, 2);
  const foreign = dialEcho(t, server, { identity: await identity(await testAuthority("Other CA")) });
  await assert.rejects(allOf(foreign.echo.count({ to: 2 })), (error) => isMezError(error, "UNAUTHENTICATED"));
});

test("has what machines tell wait for its turn, and takes a few such calls of a connection; people need not wait", async (t) => {
  const server = await startEchoServer(t);
  const { certificatePem, privateKeyPem } = await server.authority.issue("web-01");
  const { echo: agent } = dialEcho(t, server, { identity: { certificatePem, privateKeyPem } });
  const { echo: person } = dialEcho(t, server, { token: new Secret("eve") });
  const many = (echo: typeof agent) => Promise.allSettled(Array.from({ length: 200 }, () => echo.tell({ text: "hi" })));
  const refusals = (await many(agent)).flatMap((answer) => (answer.status === "rejected" ? [answer.reason as unknown] : []));
  assert.ok(refusals.length > 0 && refusals.length < 200, `${refusals.length} of 200 were refused`);
  for (const error of refusals) assert.ok(isMezError(error, "LIMIT_EXCEEDED") && error.fields["retryAfterMs"] === 5_000);
  assert.deepEqual(await agent.tell({ text: "again" }), { text: "again" });
  assert.ok((await many(person)).every(({ status }) => status === "fulfilled"));
});

test("limits calls without credentials by address", async (t) => {
  const { echo } = dialEcho(t, await startEchoServer(t, { burst: 3 }));
  const outcomes = await Promise.allSettled(Array.from({ length: 6 }, () => echo.say({ text: "hi" })));
  const refused = outcomes.filter((outcome) => outcome.status === "rejected").map(({ reason }) => reason as unknown);
  assert.ok(refused.length >= 2 && refused.every((reason) => isMezError(reason, "LIMIT_EXCEEDED")));
});

test("both sides see the same fingerprint, and new connections get a replaced certificate", async (t) => {
  const server = await startEchoServer(t);
  const first = dialEcho(t, server, { trust: { kind: "none" } });
  await first.echo.say({ text: "hi" });
  const seen = await first.connection.serverFingerprint();
  assert.deepEqual(seen, server.calls[0]?.serverFingerprint);
  const renewed = await serverCredentials(server.authority);
  server.server.use(renewed);
  const second = dialEcho(t, server, { trust: { kind: "none" } });
  const expected = createHash("sha256").update(new X509Certificate(renewed.certificatePem).raw).digest();
  assert.deepEqual(await second.connection.serverFingerprint(), expected);
  await second.echo.say({ text: "hi" });
  assert.deepEqual(server.calls[1]?.serverFingerprint, expected);
  await first.echo.say({ text: "still here" });
});

test("a connection knows the CA of the server that it checked, and none of one that it did not check", async (t) => {
  const server = await startEchoServer(t);
  const trusted = [await testAuthority("Other CA"), server.authority].map(({ certificatePem }) => certificatePem);
  const checked = dialEcho(t, server, { trust: { kind: "authorities", certificatesPem: trusted } });
  await checked.echo.say({ text: "hi" });
  const spki = new X509Certificate(server.authority.certificatePem).publicKey.export({ format: "der", type: "spki" });
  assert.deepEqual(checked.connection.serverAuthority(), createHash("sha256").update(spki).digest());
  const { echo, connection } = dialEcho(t, server, { trust: { kind: "none" } });
  await echo.say({ text: "hi" });
  assert.equal(connection.serverAuthority(), null);
});

test("serves a public call whatever token came along, and no text with a NUL byte", async (t) => {
  const server = await startEchoServer(t);
  const { echo } = dialEcho(t, server, { token: new Secret("expired") });
  assert.deepEqual(await echo.say({ text: "hi" }), { text: "hi" });
  assert.equal(server.calls[0]?.caller.kind, "anonymous");
  await assert.rejects(
    echo.say({ text: "a\0b" }),
    (error) => isMezError(error, "INVALID_ARGUMENT") && /NUL byte/.test(error.message),
  );
});

test("a stream ends on both sides when its caller goes away", async (t) => {
  const server = await startEchoServer(t);
  const { echo } = dialEcho(t, server, { token: new Secret("eve") });
  for await (const { n } of echo.count({ to: Number.MAX_SAFE_INTEGER })) if (n === 3) break;
  await eventually(() => server.leases === 0);
});

test("closes connections that speak no TLS 1.3, and goes on serving", async (t) => {
  const server = await startEchoServer(t);
  const port = Number(server.address.split(":")[1]);
  const garbage = connectTcp(port, "localhost").on("error", () => {});
  garbage.write("GET / HTTP/1.1\r\n\r\n");
  await new Promise((resolve) => garbage.once("close", resolve));
  const old = connectTls({ port, host: "localhost", maxVersion: "TLSv1.2", rejectUnauthorized: false }).on("error", () => {});
  await new Promise((resolve) => old.once("close", resolve));
  const { echo } = dialEcho(t, server);
  assert.deepEqual(await echo.say({ text: "hi" }), { text: "hi" });
});

// --- internal ---

async function allOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
