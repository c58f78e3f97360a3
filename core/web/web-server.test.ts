import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { WebBed } from "../../test/fixtures/web-bed.js";
import { MezError } from "../errors/error.js";
import type { WebHandler, WebRoute } from "../plugin/web.js";
import { jsonResponse } from "../plugin/web-response.js";

const served = (method: WebRoute["method"], path: string, handler: WebHandler, more: Partial<WebRoute> = {}) => ({
  route: { method, path, access: "public" as const, ...more },
  handler,
});

test("answers what it serves itself, with every security header", async (t) => {
  const bed = await WebBed.open(t);
  const { status, headers, body } = await bed.ask("/v1/webapi/ping");
  assert.deepEqual([status, JSON.parse(body)], [200, { cluster_name: "test", version: "1.2.3" }]);
  assert.match(String(headers["content-security-policy"]), /default-src 'self'.*'nonce-[\w-]{22}'.*frame-ancestors 'none'/);
  assert.equal(headers["cache-control"], "no-store");
  assert.equal(headers["strict-transport-security"], "max-age=31536000");
  assert.equal(headers["x-frame-options"], "DENY");
  assert.equal(headers["x-content-type-options"], "nosniff");
  assert.equal(headers["referrer-policy"], "no-referrer");
  assert.equal(headers["server"], undefined);
  assert.match((await bed.ask("/")).body, /<h1>Cluster test<\/h1>/);
});

test("gives a handler what stood in the path, the query and the body", async (t) => {
  const echo = served(
    "POST",
    "/v1/webapi/things/:thing",
    async (request) =>
      jsonResponse({
        ...{ thing: request.parameter("thing"), q: request.query.get("q"), body: request.json() },
        ...{ address: request.clientAddress, origin: request.origin },
      }),
    { accepts: "json" },
  );
  const bed = await WebBed.open(t, { routes: [echo] });
  const headers = { "content-type": "application/json; charset=utf-8" };
  const { body } = await bed.ask("/v1/webapi/things/a%20b?q=%26", { method: "POST", headers, body: '{"x":[1]}' });
  assert.deepEqual(JSON.parse(body), { thing: "a b", q: "&", body: { x: [1] }, address: "127.0.0.1", origin: bed.origin });
  assert.equal(bed.leases, 0);
});

for (const [what, method, headers, body, status] of [
  ["another kind of body", "POST", { "content-type": "text/plain" }, "x", 415],
  ["a body that is not JSON", "POST", { "content-type": "application/json" }, "{", 400],
  ["a compressed body", "POST", { "content-type": "application/json", "content-encoding": "gzip" }, "x", 415],
  ["a body that is too large", "POST", { "content-type": "application/json" }, `"${"x".repeat(100)}"`, 413],
  ["a body where none is taken", "DELETE", { "content-length": "1" }, "x", 400],
  ["another method", "PUT", {}, undefined, 405],
  ["a method that nobody knows", "PROPFIND", {}, undefined, 405],
] as const) {
  test(`refuses ${what} with ${status}`, async (t) => {
    const routes = [
      served("POST", "/thing", async (request) => jsonResponse(request.json()), { accepts: "json", maxBodyBytes: 50 }),
      served("DELETE", "/thing", async () => jsonResponse({})),
    ];
    const bed = await WebBed.open(t, { routes });
    const answer = await bed.ask("/thing", { method, headers, ...(body === undefined ? {} : { body }) });
    assert.equal(answer.status, status, answer.body);
    assert.equal(answer.headers["content-type"], "application/problem+json; charset=utf-8");
    if (status === 405) assert.equal(answer.headers.allow, "DELETE, POST, OPTIONS");
    assert.equal(bed.leases, 0);
  });
}

test("answers HEAD as GET without the body, and OPTIONS with the methods and no word for other sites", async (t) => {
  const bed = await WebBed.open(t);
  const head = await bed.ask("/v1/webapi/ping", { method: "HEAD" });
  assert.deepEqual([head.status, head.body], [200, ""]);
  assert.equal(head.headers["content-length"], String((await bed.ask("/v1/webapi/ping")).body.length));
  const options = await bed.ask("/v1/webapi/ping", { method: "OPTIONS", headers: { origin: "https://evil.test" } });
  assert.deepEqual([options.status, options.headers.allow], [204, "GET, HEAD, OPTIONS"]);
  assert.equal(options.headers["access-control-allow-origin"], undefined);
});

for (const [code, status] of [
  ["INVALID_ARGUMENT", 400],
  ["UNAUTHENTICATED", 401],
  ["ACCESS_DENIED", 403],
  ["NOT_FOUND", 404],
  ["ALREADY_EXISTS", 409],
  ["TOO_MANY_ATTEMPTS", 429],
  ["UNAVAILABLE", 503],
  ["TIMEOUT", 504],
] as const) {
  test(`answers ${code} with ${status}, without its detail`, async (t) => {
    const fail = served("GET", "/fail", () => Promise.reject(new MezError(code, "what was wrong", { detail: "only for us" })));
    const bed = await WebBed.open(t, { routes: [fail] });
    const { status: found, body } = await bed.ask("/fail");
    const { requestId, ...problem } = JSON.parse(body) as Record<string, unknown>;
    assert.equal(found, status);
    assert.deepEqual([problem.code, problem.detail, problem.status], [code, "what was wrong", status]);
    assert.ok(!body.includes("only for us"));
    assert.ok(bed.log.some((line) => line.request === requestId && line.detail === "only for us"));
  });
}

test("tells nobody but the log what went wrong inside", async (t) => {
  const broken = served("GET", "/broken", () => Promise.reject(new Error("password is hunter2")));
  const bed = await WebBed.open(t, { routes: [broken] });
  const program = await bed.ask("/broken");
  const browser = await bed.ask("/broken", { headers: { accept: "text/html,*/*;q=0.8" } });
  for (const { status, body } of [program, browser]) {
    assert.equal(status, 500);
    assert.ok(!body.includes("hunter2") && !body.includes(".js:"), body);
  }
  assert.match(browser.body, /<h1>Internal Server Error<\/h1>/);
  assert.ok(bed.log.some(({ error }) => error === "password is hunter2"));
});

test("never writes the path into the log: it may hold a one-time link", async (t) => {
  const bed = await WebBed.open(t, { routes: [served("GET", "/links/:link", async () => jsonResponse({}))] });
  await bed.ask("/links/s3cr3t?code=s3cr3t");
  await bed.ask("/nowhere/s3cr3t");
  assert.equal(bed.log.length, 2);
  assert.equal(bed.log[0]?.route, "GET /links/:link");
  assert.ok(!JSON.stringify(bed.log).includes("s3cr3t"));
});

test("a page of another site cannot change anything", async (t) => {
  const bed = await WebBed.open(t, { routes: [served("POST", "/change", async () => jsonResponse({}))] });
  for (const [headers, status] of [
    [{}, 200],
    [{ origin: bed.origin, "sec-fetch-site": "same-origin" }, 200],
    [{ "sec-fetch-site": "none" }, 200],
    [{ "sec-fetch-site": "cross-site" }, 403],
    [{ "sec-fetch-site": "same-site" }, 403],
    [{ origin: "https://evil.test" }, 403],
    [{ origin: "null" }, 403],
    [{ origin: bed.origin.replace("https", "http") }, 403],
    [{ origin: bed.origin, "sec-fetch-site": "cross-site" }, 403],
  ] as readonly (readonly [Record<string, string>, number])[]) {
    assert.equal((await bed.ask("/change", { method: "POST", headers })).status, status, JSON.stringify(headers));
  }
});

test("answers to its own names only, and to probes under any", async (t) => {
  const bed = await WebBed.open(t);
  for (const [host, path, status] of [
    ["localhost", "/v1/webapi/ping", 200],
    ["LOCALHOST:443", "/v1/webapi/ping", 200],
    ["127.0.0.1:3080", "/v1/webapi/ping", 200],
    ["evil.test", "/v1/webapi/ping", 421],
    ["192.0.2.1", "/v1/webapi/ping", 421],
    ["localhost.evil.test", "/v1/webapi/ping", 421],
    ["localhost@evil.test", "/v1/webapi/ping", 400],
    ["localhost/x", "/v1/webapi/ping", 400],
    ["evil.test", "/healthz", 200],
    ["10.0.0.7:3080", "/readyz", 200],
  ] as const) {
    assert.equal((await bed.ask(path, { headers: { host } })).status, status, `${host} ${path}`);
  }
});

test("is alive but not ready until every plugin has started", async (t) => {
  let isReady = false;
  const bed = await WebBed.open(t, { isReady: () => isReady });
  const statuses = async () =>
    Promise.all(["/healthz", "/readyz", "/v1/webapi/ping"].map(async (path) => (await bed.ask(path)).status));
  assert.deepEqual(await statuses(), [200, 503, 503]);
  isReady = true;
  assert.deepEqual(await statuses(), [200, 200, 200]);
});

test("what may be kept has a tag, and is not sent twice", async (t) => {
  const bed = await WebBed.open(t, {
    routes: [served("GET", "/keys", async () => jsonResponse({ keys: [] }, { cacheSeconds: 60 }))],
  });
  const first = await bed.ask("/keys");
  assert.equal(first.headers["cache-control"], "public, max-age=60");
  const again = await bed.ask("/keys", { headers: { "if-none-match": String(first.headers.etag) } });
  assert.deepEqual([again.status, again.body], [304, ""]);
});

test("answers what was asked before it drains, and takes nothing after", async (t) => {
  const entered = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const slow = served("GET", "/slow", async () => {
    entered.resolve();
    await go.promise;
    return jsonResponse({ done: true });
  });
  const bed = await WebBed.open(t, { routes: [slow] });
  const idle = await bed.dial();
  const idleClosed = once(idle.resume(), "close");
  const asked = bed.ask("/slow");
  await entered.promise;
  assert.equal(bed.leases, 1);
  const drained = bed.server.drain();
  const late = await bed.dial().then(
    (socket) => once(socket.resume(), "close").then(() => "closed"),
    () => "closed",
  );
  assert.equal(late, "closed");
  go.resolve();
  assert.deepEqual(JSON.parse((await asked).body), { done: true });
  await drained;
  await idleClosed;
  assert.equal(bed.leases, 0);
});

test("a handler that takes too long is told, and the client as well", async (t) => {
  let told = false;
  const stuck = served("GET", "/stuck", async ({ signal }) => {
    await delay(60_000, undefined, { signal, ref: false }).catch(() => {
      told = true;
    });
    return jsonResponse({});
  });
  const bed = await WebBed.open(t, { routes: [stuck], limits: { handlerSeconds: 0.05 } });
  assert.equal((await bed.ask("/stuck")).status, 504);
  assert.ok(told);
});
