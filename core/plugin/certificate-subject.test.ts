import assert from "node:assert/strict";
import { test } from "node:test";
import { subjectFields } from "./certificate-subject.js";

for (const [what, subject, fields] of [
  ["reads each field", "O=mezite:role:node\nCN=web-01", { O: "mezite:role:node", CN: "web-01" }],
  ["leaves out what stands there twice", "CN=web-01\nCN=web-02\nO=x", { O: "x" }],
  ["leaves out what stands there three times", "CN=web-01\nCN=web-02\nCN=web-03", {}],
  ["keeps an equals sign of a value", "CN=a=b", { CN: "a=b" }],
  ["takes no part of a value for a field", "CN=web-01 + O=mezite:role:node", { CN: "web-01 + O=mezite:role:node" }],
  ["finds nothing in an empty subject", "", {}],
] as const)
  test(`${what} of a subject`, () => {
    assert.deepEqual(Object.fromEntries(subjectFields({ subject })), fields);
  });
