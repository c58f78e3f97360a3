import assert from "node:assert/strict";
import { test } from "node:test";
import { isMezError } from "../errors/error.js";
import { isLoopback, parseHostPort } from "./address.js";

for (const [text, host, port] of [
  ["localhost:3025", "localhost", 3025],
  ["192.0.2.7:22", "192.0.2.7", 22],
  ["[::1]:3025", "::1", 3025],
  [":3025", "::", 3025],
  ["auth.example.com:0", "auth.example.com", 0],
] as const) {
  test(`reads ${text}`, () => assert.deepEqual(parseHostPort(text), { host, port }));
}

test("fills in a default port", () => assert.deepEqual(parseHostPort("localhost", 3025), { host: "localhost", port: 3025 }));

for (const text of [
  "",
  "localhost",
  "localhost:",
  "localhost:port",
  "localhost:70000",
  "::1:3025",
  "[nonsense]:1",
  "a b:1",
  "host:1:2",
  `${"a".repeat(254)}:1`,
]) {
  test(`refuses "${text}"`, () => {
    assert.throws(
      () => parseHostPort(text),
      (error) => isMezError(error, "INVALID_ARGUMENT"),
    );
  });
}

for (const [host, expected] of [
  ["localhost", true],
  ["127.0.0.1", true],
  ["127.9.9.9", true],
  ["::1", true],
  ["192.0.2.1", false],
  ["localhost.evil.example", false],
  ["127.0.0.1.evil.example", false],
] as const) {
  test(`${host} is ${expected ? "" : "not "}loopback`, () => assert.equal(isLoopback(host), expected));
}
