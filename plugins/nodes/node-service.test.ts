import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import type { Caller } from "../../core/plugin/caller.js";
import { JoinTestBed } from "../../test/integration/join-test-bed.js";
import { NODE_LEFT, NODES } from "./api.js";
import { generateHostKeys } from "./host-keys.js";
import { nodeHandlers } from "./node-rpc.js";
import type { AgentView } from "./node-service.js";

const keys = generateHostKeys();
const facts = { labels: {}, hostname: "", os: "", version: "" };
const call = (caller: Caller) => ({
  caller,
  clientAddress: "192.0.2.7",
  serverFingerprint: null,
  signal: new AbortController().signal,
});
let bed: JoinTestBed;
before(async () => {
  bed = await JoinTestBed.open();
  for (const name of ["web-02", "web-01", "db-01"]) {
    const { agentId } = await bed.enrolment.enrolLocal({ name, role: "node", keys, publicAddresses: [] });
    await bed.agents.register(
      agentId,
      { ...facts, hostname: `${name}.internal`, labels: { team: name === "db-01" ? "hidden" : "seen" } },
      "192.0.2.9",
      null,
    );
  }
});
after(() => bed.close());

test("admin and auditor see all nodes, others those that they may reach, sorted by name", () => {
  const names = (caller: Caller) => seenBy(caller, "").map(({ agent }) => agent.name);
  assert.deepEqual(names(user("admin")), ["db-01", "web-01", "web-02"]);
  assert.deepEqual(names(user("auditor")), ["db-01", "web-01", "web-02"]);
  assert.deepEqual(names(user("access")), ["web-01", "web-02"]);
  assert.deepEqual(names({ kind: "anonymous" }), []);
});

test("nobody waits for the signatures of a node that is taken in or renews", { timeout: 120_000 }, async () => {
  const other = () => bed.nodes.updateLabels("db-01", { touched: "yes" }, call(user("admin")));
  bed.backend.duringNextSign(other);
  const { agentId } = await bed.enrolment.enrolLocal({ name: "slow-01", role: "node", keys, publicAddresses: [] });
  bed.backend.duringNextSign(other);
  assert.equal((await bed.enrolment.renew(agentId, generateHostKeys(), [])).agentId, agentId);
  bed.backend.duringNextSign(() => bed.nodes.delete("", "slow-01", call(user("admin"))));
  await assert.rejects(bed.enrolment.renew(agentId, keys, []), (error) => isMezError(error, "UNAUTHENTICATED"));
});

test("a node that the caller may not reach does not exist for him", () => {
  const seen = bed.nodes.view(user("access"), "web-01");
  assert.equal("agent" in seen && seen.agent.hostname, "web-01.internal");
  for (const name of ["db-01", "nothing"]) {
    assert.throws(
      () => bed.nodes.view(user("access"), name),
      (error) => isMezError(error, "NOT_FOUND") && error.message === `there is no node named "${name}"`,
    );
  }
});

test("proxies are listed apart, and only for admin and auditor", async () => {
  await bed.enrolment.enrolLocal({ name: "web-01", role: "proxy", keys, publicAddresses: ["proxy.example.com"] });
  assert.deepEqual(
    seenBy(user("admin"), "proxy").map(({ agent }) => agent.name),
    ["web-01"],
  );
  assert.deepEqual(seenBy(user("access"), "proxy"), []);
  assert.throws(
    () => seenBy(user("admin"), "bastion"),
    (error) => isMezError(error, "INVALID_ARGUMENT"),
  );
});

test("an administrator's labels replace his earlier ones, beat the agent's and reach every copy", async () => {
  await bed.nodes.updateLabels("web-02", { env: "staging", team: "other" }, call(user("admin")));
  await bed.nodes.updateLabels("web-02", { team: "hidden" }, call(user("admin")));
  assert.deepEqual(bed.collections.of(NODES).get("web-02")?.labels, { team: "hidden" });
  assert.equal(bed.audits.at(-1)?.type, "node.updated");
  assert.equal(seenBy(user("access"), "").length, 1);
  await bed.nodes.updateLabels("web-02", {}, call(user("admin")));
  assert.deepEqual(bed.collections.of(NODES).get("web-02")?.labels, { team: "seen" });
});

test("labels that are not valid and unknown nodes change nothing", async () => {
  await assert.rejects(bed.nodes.updateLabels("web-02", { "a b": "c" }, call(user("admin"))), (error) =>
    isMezError(error, "INVALID_ARGUMENT"),
  );
  await assert.rejects(bed.nodes.updateLabels("nothing", {}, call(user("admin"))), (error) => isMezError(error, "NOT_FOUND"));
  await assert.rejects(bed.nodes.delete("", "nothing", call(user("admin"))), (error) => isMezError(error, "NOT_FOUND"));
});

test("an agent that registers again with the same facts writes nothing", async () => {
  const agent = bed.directory.find("node", "web-01");
  assert.ok(agent);
  let changes = 0;
  const stop = bed.collections.onApply(() => void changes++);
  await bed.agents.register(agent.id, { ...facts, hostname: agent.hostname, labels: agent.agentLabels }, agent.address, null);
  assert.equal(changes, 0);
  await bed.agents.register(agent.id, { ...facts, hostname: "moved", labels: agent.agentLabels }, agent.address, null);
  assert.equal(changes, 2);
  stop();
});

test("a removed node is gone from every copy, audited, and unknown to its agent", async () => {
  const agent = bed.directory.find("node", "web-01");
  assert.ok(agent);
  await bed.nodes.delete("", "web-01", call(user("admin")));
  assert.equal(bed.collections.of(NODES).get("web-01"), undefined);
  const left = bed.audits.at(-1);
  assert.deepEqual(
    [left?.type, left?.userName, left?.resourceName, left?.serverId],
    [NODE_LEFT.name, "alice", "web-01", agent.id],
  );
  assert.throws(
    () => bed.agents.heartbeat(agent.id, null),
    (error) => isMezError(error, "UNAUTHENTICATED"),
  );
  await assert.rejects(bed.enrolment.renew(agent.id, keys, []), (error) => isMezError(error, "UNAUTHENTICATED"));
});

test("a local agent keeps its record over restarts, and does not take that of another process", async () => {
  const first = await bed.enrolment.enrolLocal({ name: "local-01", role: "node", keys, publicAddresses: [] });
  const second = await bed.enrolment.enrolLocal({ name: "local-01", role: "node", keys, publicAddresses: [] });
  assert.equal(second.agentId, first.agentId);
  assert.notEqual(second.serial, first.serial);
  await bed.agent("remote-01", await bed.token()).join("remote-01");
  await assert.rejects(
    bed.enrolment.enrolLocal({ name: "remote-01", role: "node", keys, publicAddresses: [] }),
    (error) => isMezError(error, "CONFLICT") && /mezctl nodes rm/.test(error.message),
  );
});

test("a node cannot be certified under the address of a proxy, nor a proxy under the name of a node", async () => {
  await bed.enrolment.enrolLocal({ name: "edge", role: "proxy", keys, publicAddresses: ["edge.example.com"] });
  await assert.rejects(bed.agent("e1", await bed.token()).join("edge.example.com"), (error) =>
    isMezError(error, "ALREADY_EXISTS"),
  );
  const proxy = bed.directory.find("proxy", "edge");
  assert.ok(proxy);
  await assert.rejects(bed.enrolment.renew(proxy.id, keys, ["local-01"]), (error) => isMezError(error, "ALREADY_EXISTS"));
  const node = bed.directory.find("node", "local-01");
  assert.ok(node);
  await assert.rejects(bed.enrolment.renew(node.id, keys, ["edge.example.com"]), (error) =>
    isMezError(error, "INVALID_ARGUMENT"),
  );
});

test("a brief list has what lists show, and nothing else", async () => {
  await bed.enrolment.enrolLocal({ name: "brief-01", role: "node", keys, publicAddresses: [] });
  const lists = [];
  for (const brief of [true, false])
    for await (const { nodes } of nodeHandlers(bed.nodes, bed.openSsh).listNodes({ role: "node", brief }, call(user("admin"))))
      lists.push(nodes.find(({ name }) => name === "brief-01"));
  const [brief, whole] = lists;
  assert.ok(brief !== undefined && whole !== undefined);
  for (const shown of ["name", "kind", "hostname", "address", "labels", "online", "lastSeen"] as const)
    assert.deepEqual(brief[shown], whole[shown], shown);
  assert.deepEqual([brief.id, brief.joinedAt, brief.agentLabels, brief.os], ["", undefined, {}, ""]);
});

test("lists come in pages, complete and in order", async () => {
  for (let index = 0; index < 520; index++) {
    await bed.enrolment.enrolLocal({ name: `page-${String(index).padStart(3, "0")}`, role: "node", keys, publicAddresses: [] });
  }
  const sizes: number[] = [];
  const names: string[] = [];
  for await (const { nodes } of nodeHandlers(bed.nodes, bed.openSsh).listNodes(
    { role: "node", brief: false },
    call(user("admin")),
  )) {
    sizes.push(nodes.length);
    names.push(...nodes.map((node) => node.name));
  }
  assert.equal(sizes[0], 500);
  assert.equal(names.length, bed.directory.all("node").length);
  assert.deepEqual(names, [...names].sort());
});

// --- internal ---

function seenBy(caller: Caller, role: string): readonly AgentView[] {
  return [...bed.nodes.visible(caller, role, 2)].flat().filter((view) => "agent" in view);
}

function user(role: string): Caller {
  const traits = { internal: {}, external: {} };
  return { kind: "user", name: "alice", roles: [role], traits, sessionId: "session-1", mustChangePassword: false };
}
