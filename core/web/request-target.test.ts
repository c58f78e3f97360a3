import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_TARGET_BYTES, parseTarget } from "./request-target.js";

for (const [target, segments] of [
  ["/", []],
  ["/?a=1", []],
  ["/v1/webapi/ping", ["v1", "webapi", "ping"]],
  ["/a%20b/c", ["a b", "c"]],
  ["/.well-known/jwks.json?x=%2F", [".well-known", "jwks.json"]],
  ["/...", ["..."]],
] as const) {
  test(`reads ${target}`, () => assert.deepEqual(parseTarget(target)?.segments, segments));
}

for (const target of [
  "",
  "*",
  "v1",
  "http://localhost/v1",
  "localhost:443",
  "//evil.test/",
  "/a//b",
  "/a/",
  "/../etc/passwd",
  "/a/..",
  "/a/./b",
  "/%2e%2e/etc/passwd",
  "/a/%2E/b",
  "/..%2f..%2fetc/passwd",
  "/a%5cb",
  "/a\\b",
  "/%00",
  "/a%0d%0aset-cookie:x",
  "/%252e%252e/x",
  "/%ff",
  "/%zz",
  "/a#b",
  "/ü",
  "/a b",
  `/${"a".repeat(MAX_TARGET_BYTES)}`,
]) {
  test(`refuses ${target.slice(0, 40)}`, () => assert.equal(parseTarget(target), null));
}
