import assert from "node:assert/strict";
import { test } from "node:test";
import { personEnvironment } from "./person-environment.js";

const LAUNCHED = { PATH: "/bin", SSL_CERT_FILE: "/dev/null", SSL_CERT_DIR: "/dev/null" };

for (const [what, kept, expected] of [
  ["names none", {}, { PATH: "/bin" }],
  ["names a file", { MSH_SSL_CERT_FILE: "/etc/ca.pem" }, { PATH: "/bin", SSL_CERT_FILE: "/etc/ca.pem" }],
  [
    "names both",
    { MSH_SSL_CERT_FILE: "/etc/ca.pem", MSH_SSL_CERT_DIR: "/etc/ca" },
    { PATH: "/bin", SSL_CERT_FILE: "/etc/ca.pem", SSL_CERT_DIR: "/etc/ca" },
  ],
  ["names some for Node", { MSH_NODE_EXTRA_CA_CERTS: "/etc/ca.pem" }, { PATH: "/bin", NODE_EXTRA_CA_CERTS: "/etc/ca.pem" }],
] as const)
  test(`programs that are started get the CAs of a person whose environment ${what}`, () => {
    assert.deepEqual(personEnvironment({ ...LAUNCHED, ...kept }), expected);
  });
