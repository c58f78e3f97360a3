import assert from "node:assert/strict";
import { test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { parseWorkloadDocument, workloadToDocument } from "./workload-document.js";
import { fromMessage, toMessage } from "./workload-message.js";

const DOCUMENT = `kind: workload_identity
version: v1
metadata:
  name: payments
spec:
  spiffe_id: /ns/{{node.labels.env}}/payments
  selectors:
    agent_identities: [web-01, web-02]
    node_labels: { env: prod, team: [a, b] }
    unix:
      uid: 1000
      path: [/usr/bin/payments]
  x509_ttl: 2h
  dns_sans: payments.internal
  hint: internal
`;

test("reads a document, and writes one that reads as the same", async () => {
  const workload = await parseWorkloadDocument(DOCUMENT, "workload.yaml");
  assert.deepEqual(workload, {
    name: "payments",
    description: "",
    spiffeIdPath: "/ns/{{node.labels.env}}/payments",
    agentIdentities: ["web-01", "web-02"],
    nodeLabels: { env: ["prod"], team: ["a", "b"] },
    unix: { uids: [1000], gids: [], paths: ["/usr/bin/payments"], sha256: [] },
    x509TtlSeconds: 7200,
    jwtTtlSeconds: 300,
    dnsSans: ["payments.internal"],
    hint: "internal",
  });
  const again = await parseWorkloadDocument(JSON.stringify(workloadToDocument(workload)), "-");
  assert.deepEqual(again, workload);
  assert.deepEqual(fromMessage(toMessage(workload)), workload);
});

for (const [what, from, to, message] of [
  ["another kind", "kind: workload_identity", "kind: role", /^workload\.yaml:1: /],
  ["an unknown key", "  hint: internal", "  hints: internal", /^workload\.yaml:15: unknown key "hints" .*did you mean "hint"/],
  ["a bad name", "name: payments", "name: Payments", /^workload\.yaml:4: /],
  ["an unknown template", "{{node.labels.env}}", "{{user.name}}", /^workload\.yaml:6: "{{user\.name}}" is unknown; use {{node/],
  ["a path that is none", "/ns/{{node.labels.env}}/payments", "payments", /^workload\.yaml:6: "payments" is no SPIFFE ID path/],
  ["a user id that is none", "uid: 1000", "uid: -1", /^workload\.yaml:11: "-1" is not a user id/],
  ["a user name", "uid: 1000", "uid: deploy", /^workload\.yaml:11: /],
  ["a path that is not absolute", "[/usr/bin/payments]", "[payments]", /^workload\.yaml:12: "payments" is not an absolute path/],
  ["a life that is too long", "x509_ttl: 2h", "x509_ttl: 25h", /^workload\.yaml:13: x509_ttl has to be from 1m to 24h$/],
  ["a life that is none", "x509_ttl: 2h", "x509_ttl: soon", /^workload\.yaml:13: /],
  ["an address", "payments.internal", "10.0.0.1", /^workload\.yaml:14: "10\.0\.0\.1" is an address/],
  ["a regular expression", "env: prod", 'env: "^prod$"', /^workload\.yaml:9: label "env": regular expressions are for roles/],
] as const) {
  test(`refuses ${what}, and says where`, async () => {
    const text = DOCUMENT.replace(from, to);
    assert.notEqual(text, DOCUMENT);
    await assert.rejects(parseWorkloadDocument(text, "workload.yaml"), (error) => {
      assert.ok(isMezError(error, "INVALID_DOCUMENT"));
      assert.match(error.message, message);
      return true;
    });
  });
}

for (const [what, pattern, message] of [
  ["no hosts", /^ {4}(agent_identities|node_labels).*\n/gm, /name agent_identities or node_labels/],
  ["no program", /^ {6}(uid|path).*\n/gm, /name at least one of uid, gid, path and sha256/],
] as const) {
  test(`refuses a document that names ${what}`, async () => {
    const text = DOCUMENT.replace(pattern, "").replace(/unix:\n(?! {6})/, "unix: {}\n");
    await assert.rejects(parseWorkloadDocument(text, "workload.yaml"), message);
  });
}
