import assert from "node:assert/strict";
import { test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { labelsOf, parseAgentName, parseLabels, parsePublicAddresses, plainText } from "./agent.js";

for (const name of ["web-01", "db_1", "a", "db-legacy-01.internal", "x".repeat(64)]) {
  test(`"${name}" is a name`, () => assert.equal(parseAgentName(name), name));
}

for (const name of [
  "",
  "Web",
  "-a",
  "a-",
  "a b",
  "a\0",
  "a\n",
  "*",
  "localhost",
  "127.0.0.1",
  "x".repeat(65),
  "0d8c2f9e-3b1a-4c5d-8e7f-0123456789ab",
]) {
  test(`${JSON.stringify(name)} is no name`, () => {
    assert.throws(
      () => parseAgentName(name),
      (error) => isMezError(error, "INVALID_ARGUMENT"),
    );
  });
}

test("sorts labels and keeps their values", () => {
  assert.deepEqual(Object.entries(parseLabels({ team: "eng ü", env: "" })), [
    ["env", ""],
    ["team", "eng ü"],
  ]);
});

for (const labels of [
  { "": "x" },
  { "a=b": "x" },
  { "a b": "x" },
  { env: "x".repeat(254) },
  { env: "a\nb" },
  { env: "\u001b[31m" },
  Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`k${index}`, ""])),
]) {
  test(`refuses labels ${JSON.stringify(labels).slice(0, 40)}`, () => {
    assert.throws(
      () => parseLabels(labels),
      (error) => isMezError(error, "INVALID_ARGUMENT"),
    );
  });
}

test("an administrator's label counts more than the agent's", () => {
  assert.deepEqual(labelsOf({ agentLabels: { env: "dev", os: "linux" }, adminLabels: { env: "prod" } }), {
    env: "prod",
    os: "linux",
  });
});

test("public addresses are host names and addresses without ports", () => {
  assert.deepEqual(parsePublicAddresses(["proxy.example.com", "::1", "192.0.2.1", "::1"]), [
    "192.0.2.1",
    "::1",
    "proxy.example.com",
  ]);
  for (const address of ["proxy.example.com:3023", "*.example.com", "", "A.example.com", "a b"]) {
    assert.throws(
      () => parsePublicAddresses([address]),
      (error) => isMezError(error, "INVALID_ARGUMENT"),
    );
  }
});

test("what an agent says of itself cannot move a terminal's cursor", () => {
  assert.equal(plainText("web\u001b[2J\r\n01\0"), "web[2J01");
});
