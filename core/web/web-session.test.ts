import assert from "node:assert/strict";
import { test } from "node:test";
import { WebBed } from "../../test/fixtures/web-bed.js";
import { MezError } from "../errors/error.js";
import type { WebPerson, WebSession } from "../plugin/web.js";
import { jsonResponse } from "../plugin/web-response.js";
import type { WebAuthenticator } from "../ports/web-authenticator.js";
import { csrfTokenOf } from "./same-origin.js";

const TOKEN = "a-token-of-alice";
const CSRF = csrfTokenOf(TOKEN);
const COOKIE = `__Host-mezite-session=${TOKEN}`;
const ALICE: WebPerson = { userName: "alice", roles: ["access"], sessionId: "1", expiresAt: null };

const authenticator: WebAuthenticator = {
  authenticate: async (token) => {
    if (token.expose() !== TOKEN) throw new MezError("UNAUTHENTICATED", "the session is unknown or has ended; log in again");
    return ALICE;
  },
};

const who = async ({ session }: { readonly session: WebSession | null }) => jsonResponse({ user: session?.userName });
const routes = [
  { route: { method: "GET", path: "/me", access: "session" } as const, handler: who },
  { route: { method: "POST", path: "/json", access: "session", accepts: "json" } as const, handler: who },
  { route: { method: "POST", path: "/form", access: "session", accepts: "form" } as const, handler: who },
];
const json = { "content-type": "application/json" };
const form = { "content-type": "application/x-www-form-urlencoded" };

for (const [what, method, path, headers, body, status] of [
  ["nobody", "GET", "/me", {}, "", 401],
  ["a cookie", "GET", "/me", { cookie: COOKIE }, "", 200],
  ["a cookie among others", "GET", "/me", { cookie: `a=b; ${COOKIE}; c=d` }, "", 200],
  ["a bearer token", "GET", "/me", { authorization: `Bearer ${TOKEN}` }, "", 200],
  ["a cookie without our prefix", "GET", "/me", { cookie: `mezite-session=${TOKEN}` }, "", 401],
  ["two cookies", "GET", "/me", { cookie: `${COOKIE}; ${COOKIE}` }, "", 401],
  ["an unknown token", "GET", "/me", { cookie: "__Host-mezite-session=eve" }, "", 401],
  ["a token of great length", "GET", "/me", { authorization: `Bearer ${"a".repeat(600)}` }, "", 401],
  ["a cookie without a form token", "POST", "/json", { cookie: COOKIE, ...json }, "{}", 403],
  ["a cookie with a wrong form token", "POST", "/json", { cookie: COOKIE, ...json, "x-mezite-csrf": `${CSRF}x` }, "{}", 403],
  ["a cookie with its form token", "POST", "/json", { cookie: COOKIE, ...json, "x-mezite-csrf": CSRF }, "{}", 200],
  ["a cookie with its form token as a field", "POST", "/form", { cookie: COOKIE, ...form }, `csrf=${CSRF}&a=b`, 200],
  ["a cookie with a form token of another", "POST", "/form", { cookie: COOKIE, ...form }, `csrf=${csrfTokenOf("eve")}`, 403],
  ["a cookie with two form tokens", "POST", "/form", { cookie: COOKIE, ...form }, `csrf=${CSRF}&csrf=${CSRF}`, 400],
  ["a bearer token without a form token", "POST", "/json", { authorization: `Bearer ${TOKEN}`, ...json }, "{}", 200],
  [
    "another site with everything",
    "POST",
    "/form",
    { cookie: COOKIE, ...form, origin: "https://evil.test" },
    `csrf=${CSRF}`,
    403,
  ],
] as readonly (readonly [string, string, string, Record<string, string>, string, number])[]) {
  test(`${method} ${path} by ${what} is answered with ${status}`, async (t) => {
    const bed = await WebBed.open(t, { routes, authenticators: () => [authenticator] });
    const answer = await bed.ask(path, { method, headers, ...(body === "" ? {} : { body }) });
    assert.equal(answer.status, status, answer.body);
    if (status === 200) assert.deepEqual(JSON.parse(answer.body), { user: "alice" });
    assert.ok(!JSON.stringify(bed.log).includes(TOKEN));
  });
}

test("nobody is logged in where nothing knows sessions", async (t) => {
  const bed = await WebBed.open(t, { routes });
  assert.equal((await bed.ask("/me", { headers: { cookie: COOKIE } })).status, 401);
});
