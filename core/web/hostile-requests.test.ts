import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import { closed } from "../../test/fixtures/closed.js";
import { eventually } from "../../test/fixtures/eventually.js";
import { WebBed, type WebBedParts } from "../../test/fixtures/web-bed.js";
import { jsonResponse } from "../plugin/web-response.js";

const PING = "GET /v1/webapi/ping HTTP/1.1\r\nHost: localhost\r\n";
const POST = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";

/** A route that would show a request that came in by the back door. */
const routes: WebBedParts["routes"] = [
  {
    route: { method: "POST", path: "/echo", access: "public", accepts: "json" },
    handler: async (request) => jsonResponse({ echo: request.json() }),
  },
];

for (const [what, bytes, status] of [
  ["two lengths", `${POST}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`, 400],
  ["a length and chunks", `${POST}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
  ["chunks under another name", `${POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`, 400],
  ["chunks that are not last", `${POST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`, 400],
  ["a space before the colon", `${POST}Content-Length : 2\r\n\r\n{}`, 400],
  ["a header over two lines", `${PING}X-A: b\r\n c: d\r\n\r\n`, 400],
  ["a bare line feed", "GET / HTTP/1.1\nHost: localhost\n\n", 400],
  ["a carriage return in a header", `${PING}X-A: b\rX-B: c\r\n\r\n`, 400],
  ["a NUL in a header", `${PING}X-A: b\0c\r\n\r\n`, 400],
  ["a chunk with a wrong size", `${POST}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n`, 400],
  ["a negative length", `${POST}Content-Length: -1\r\n\r\n`, 400],
  ["a body that grows too large", `${POST}Transfer-Encoding: chunked\r\n\r\n${"ffff\r\n".padEnd(65_541, "x")}\r\nff\r\n`, 413],
] as const) {
  test(`refuses ${what} with ${status}, and hears nothing that follows`, async (t) => {
    const bed = await WebBed.open(t, { routes });
    const answer = await bed.say(`${bytes}${PING}\r\n`);
    const answers = answer.match(/HTTP\/1\.1 \d+/g) ?? [];
    assert.equal(answers[0], `HTTP/1.1 ${status}`, answer);
    assert.ok(!answer.includes("cluster_name"), answer);
  });
}

for (const [what, head, status] of [
  ["no host", "GET /v1/webapi/ping HTTP/1.1\r\n\r\n", 400],
  ["two hosts", `${PING}Host: localhost\r\n\r\n`, 400],
  ["a whole URL", "GET https://localhost/v1/webapi/ping HTTP/1.1\r\nHost: localhost\r\n\r\n", 400],
  ["a path upwards", "GET /v1/../healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400],
  ["an encoded path upwards", "GET /v1/%2e%2e/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400],
  ["OPTIONS for everything", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 400],
  ["TRACE", "TRACE /v1/webapi/ping HTTP/1.1\r\nHost: localhost\r\n\r\n", 405],
  ["a head that is too long", `${PING}X-A: ${"a".repeat(20_000)}\r\n\r\n`, 431],
  ["too many headers", `${PING}${"X-A: b\r\n".repeat(120)}\r\n`, 431],
  ["a path that is too long", `GET /${"a".repeat(5000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`, 400],
  ["an expectation that nobody knows", `${PING}Expect: tea\r\n\r\n`, 417],
] as const) {
  test(`refuses ${what} with ${status}`, async (t) => {
    const bed = await WebBed.open(t, { routes });
    const answer = await bed.say(head.replace(/\r\n\r\n$/, "\r\nConnection: close\r\n\r\n"));
    assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `));
    assert.ok(!answer.includes("cluster_name"), answer);
  });
}

test("does not wait for a body that it will not take", async (t) => {
  const bed = await WebBed.open(t, { routes });
  const answer = await bed.say(`${POST}Expect: 100-continue\r\nContent-Length: 900000000\r\n\r\n`);
  assert.match(answer, /^HTTP\/1\.1 413 /);
  assert.ok(!answer.includes("100 Continue"));
});

test("goes on with a body that it takes", async (t) => {
  const bed = await WebBed.open(t, { routes });
  const answer = await bed.say(`${POST}Expect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\n[]`);
  assert.match(answer, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n.*\{"echo":\[\]\}$/s);
});

test("answers requests that come all at once in their order, each once", async (t) => {
  const bed = await WebBed.open(t, { routes });
  const posts = [1, 2, 3].map((number) => `${POST}Content-Length: 1\r\n\r\n${number}`).join("");
  const answer = await bed.say(`${posts}${PING}Connection: close\r\n\r\n`);
  assert.deepEqual(answer.match(/\{"(?:echo":\d|cluster_name)/g), ['{"echo":1', '{"echo":2', '{"echo":3', '{"cluster_name']);
});

test("no upgrade leads away from HTTP", async (t) => {
  const bed = await WebBed.open(t);
  const upgrade = "Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n";
  assert.match(await bed.say(`${PING}${upgrade}`), /^HTTP\/1\.1 200 /);
  assert.equal(await bed.say("CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: localhost\r\n\r\n"), "");
});

for (const [what, limits, bytes, expected] of [
  ["a head that comes in drops", { headSeconds: 0.2 }, "GET / HT", /^HTTP\/1\.1 408 /],
  ["a body that comes in drops", { requestSeconds: 0.3 }, `${POST}Content-Length: 10\r\n\r\n[`, /^HTTP\/1\.1 408 /],
  ["a connection without a request", { headSeconds: 0.2 }, "", /^(HTTP\/1\.1 408 .*)?$/s],
  ["a connection that is kept for nothing", { keepAliveSeconds: 0.1 }, `${PING}\r\n`, /^HTTP\/1\.1 200 /],
] as const) {
  test(`closes ${what}`, async (t) => {
    const bed = await WebBed.open(t, { routes, limits: { headSeconds: 0.2, requestSeconds: 5, ...limits } });
    assert.match(await bed.say(bytes), expected);
    assert.equal(bed.leases, 0);
  });
}

test("closes who takes nothing of an answer", async (t) => {
  const large = { status: 200, contentType: "text/plain", body: Buffer.alloc(64 * 1024 * 1024) };
  const route = { method: "GET", path: "/large", access: "public" } as const;
  const bed = await WebBed.open(t, { routes: [{ route, handler: async () => large }], limits: { silentSeconds: 0.3 } });
  const socket = await bed.dial();
  socket.pause();
  socket.write("GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n");
  while (!bed.log.some(({ message }) => message === "web request")) await new Promise((resolve) => setTimeout(resolve, 10));
  while (bed.server.connections > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  socket.destroy();
});

test("counts requests that are none as well, and writes no line of the log for each of a flood", async (t) => {
  const bed = await WebBed.open(t, { limits: { requestsPerAddress: { burst: 2, perSecond: 0 } } });
  const answer = await bed.say(`${"GET //x HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(4)}${PING}Connection: close\r\n\r\n`);
  assert.deepEqual(
    (answer.match(/HTTP\/1\.1 \d+/g) ?? []).map((line) => Number(line.slice(-3))),
    [400, 400, 429, 429, 429],
  );
  assert.equal(bed.log.filter(({ level, message }) => level === "info" && message === "web request").length, 2);
});

test("closes a connection that has had its share of requests", async (t) => {
  const bed = await WebBed.open(t, { limits: { requestsPerConnection: 2, keepAliveSeconds: 0.1 } });
  const answer = await bed.say(`${PING}\r\n`.repeat(5));
  assert.equal(answer.match(/"cluster_name"/g)?.length, 2);
});

test("one address cannot take all connections", async (t) => {
  const bed = await WebBed.open(t, { limits: { connectionsPerAddress: 2 } });
  const kept = [await bed.dial(), await bed.dial()];
  await assert.rejects(bed.ask("/healthz"));
  kept[0]?.destroy();
  while (bed.server.connections > 1) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal((await bed.ask("/healthz")).status, 200);
  kept[1]?.destroy();
});

test("one address cannot ask without end", async (t) => {
  const bed = await WebBed.open(t, {
    clock: { now: () => new Date(0) },
    limits: { requestsPerAddress: { burst: 3, perSecond: 1 } },
  });
  const statuses: number[] = [];
  for (let asked = 0; asked < 5; asked += 1) statuses.push((await bed.ask("/v1/webapi/ping")).status);
  assert.deepEqual(statuses, [200, 200, 200, 429, 429]);
  assert.deepEqual(
    bed.log.filter(({ status }) => status === 429).map(({ level }) => level),
    ["debug", "debug"],
  );
});

test("speaks TLS 1.3 and HTTP/1.1 only", async (t) => {
  const bed = await WebBed.open(t);
  const place = { host: "127.0.0.1", port: bed.port, servername: "localhost", ca: bed.authority.certificatePem };
  const old = connectTls({ ...place, maxVersion: "TLSv1.2" });
  await assert.rejects(once(old, "secureConnect"));
  const h2 = connectTls({ ...place, ALPNProtocols: ["h2"] });
  await assert.rejects(once(h2, "secureConnect"));
  const both = connectTls({ ...place, ALPNProtocols: ["h2", "http/1.1"] });
  await once(both, "secureConnect");
  assert.deepEqual([both.alpnProtocol, both.getProtocol()], ["http/1.1", "TLSv1.3"]);
  both.destroy();
});

test("closes who speaks no TLS, or begins it and stops", async (t) => {
  const bed = await WebBed.open(t, { limits: { headSeconds: 0.2 } });
  for (const bytes of ["GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "\x16\x03\x01\x02\x00\x01", ""]) {
    const socket = connect({ host: "127.0.0.1", port: bed.port }).on("error", () => {});
    socket.write(bytes, "latin1");
    await closed(socket);
  }
  // A machine with much to do may need more than one attempt for so short a time.
  await eventually(async () => (await bed.ask("/healthz")).status === 200);
});
