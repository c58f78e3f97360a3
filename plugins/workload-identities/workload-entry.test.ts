import assert from "node:assert/strict";
import { test } from "node:test";
import { entryOn } from "./workload-entry.js";
import type { StoredWorkloadIdentity } from "./workload-identity.js";

const NODE = { name: "web-01", labels: { env: "prod", team: "a" } };
const HOST = { identityName: "web-01", node: NODE };
const WORKLOAD: StoredWorkloadIdentity = {
  ...{ name: "payments", description: "", spiffeIdPath: "/ns/{{node.labels.env}}/payments", hint: "" },
  ...{ agentIdentities: ["web-01"], nodeLabels: {}, dnsSans: ["{{node.name}}.internal"] },
  unix: { uids: [1000], gids: [], paths: [], sha256: [] },
  ...{ x509TtlSeconds: 3600, jwtTtlSeconds: 300, id: "1", createdBy: "eve", createdAt: "2026-01-01T00:00:00.000Z" },
};

test("fills in what the host is", () => {
  const entry = entryOn(HOST, WORKLOAD, "prod.example.com");
  assert.equal(entry?.spiffeId, "spiffe://prod.example.com/ns/prod/payments");
  assert.deepEqual(entry?.dnsSans, ["web-01.internal"]);
});

for (const [what, change, isServed] of [
  ["the identity is named", {}, true],
  ["another identity is named", { agentIdentities: ["web-02"] }, false],
  ["the node has the labels", { agentIdentities: [], nodeLabels: { env: ["dev", "prod"] } }, true],
  ["the node has one of two labels", { nodeLabels: { env: ["prod"], zone: ["*"] } }, false],
  ["any value will do", { agentIdentities: [], nodeLabels: { team: ["*"] } }, true],
  ["the node has another value", { nodeLabels: { env: ["dev"] } }, false],
  ["a label is named like a method", { nodeLabels: { toString: ["*"] } }, false],
  ["identity and labels are named, and one is wrong", { agentIdentities: ["web-02"], nodeLabels: { env: ["prod"] } }, false],
  ["nobody is named", { agentIdentities: [] }, false],
  ["a DNS name cannot be filled in", { dnsSans: ["{{node.labels.zone}}.internal"] }, false],
] as const) {
  test(`${isServed ? "serves" : "serves nothing"} when ${what}`, () => {
    assert.equal(entryOn(HOST, { ...WORKLOAD, ...change } as StoredWorkloadIdentity, "prod") !== null, isServed);
  });
}

test("a host that is no node has no labels", () => {
  const host = { identityName: "web-01", node: null };
  assert.equal(entryOn(host, WORKLOAD, "prod"), null);
  const plain = { ...WORKLOAD, spiffeIdPath: "/payments", dnsSans: [] };
  assert.equal(entryOn(host, plain, "prod")?.spiffeId, "spiffe://prod/payments");
  assert.equal(entryOn(host, { ...plain, nodeLabels: { env: ["*"] } }, "prod"), null);
});

test("the revision changes with what is said, and with the stored state", () => {
  const revision = (workload: Partial<StoredWorkloadIdentity>, labels: Readonly<Record<string, string>> = NODE.labels) =>
    entryOn({ ...HOST, node: { ...NODE, labels } }, { ...WORKLOAD, ...workload }, "prod")?.revision;
  assert.equal(revision({}), revision({}, { ...NODE.labels, other: "label" }));
  const all = [
    revision({}),
    revision({}, { env: "dev" }),
    revision({ hint: "x" }),
    revision({ id: "2" }),
    revision({ x509TtlSeconds: 60 }),
  ];
  assert.equal(new Set(all).size, all.length);
});
