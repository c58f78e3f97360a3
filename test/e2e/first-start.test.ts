import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Cluster } from "../fixtures/cluster.js";
import { eventually } from "../fixtures/eventually.js";
import { descendantsOf, isRunning } from "../fixtures/process-tree.js";
import { SshSession } from "../fixtures/ssh-session.js";
import { needsPeers } from "../peers/require-peer.js";

describe("mezd", needsPeers("ssh"), () => {
  let cluster: Cluster;
  let target: string;
  before(async () => {
    cluster = await Cluster.start();
    target = `${cluster.login}@${cluster.nodeName}`;
  });
  after(() => cluster.stop());

  test("start ends cleanly at SIGINT and SIGTERM, with sessions and their programs", async () => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      const session = await SshSession.open(cluster, target, ["-tt"]);
      session.type("sleep 1000");
      const below = await eventually(() => {
        const found = descendantsOf(cluster.server.process.pid as number);
        return found.length >= 2 && found;
      });
      assert.equal(await cluster.server.stop(signal), 0, `${signal}: ${cluster.server.output}`);
      assert.notEqual(await session.ended(), 0);
      await eventually(() => !below.some(isRunning));
      assert.doesNotMatch(cluster.server.output, /"level":50/, cluster.server.output);
      await cluster.startServer();
    }
  });

  test("start finds everything again at the next start, and shows no password", async (t) => {
    cluster.person("carol", ["--roles=access"]);
    const role = { kind: "role", version: "v1", metadata: { name: "web" }, spec: { allow: { logins: ["deploy"] } } };
    writeFileSync(join(cluster.folder, "web.yaml"), JSON.stringify(role));
    cluster.mezctlOk(["roles", "create", `--from-file=${join(cluster.folder, "web.yaml")}`]);
    assert.equal(cluster.ssh(["-tt", target, "echo kept over the restart"]).code, 0);
    const recording = await eventually(() => recordings(cluster).find(({ command }) => command.includes("kept over"))?.id);
    const events = auditEvents(cluster);

    assert.equal(await cluster.server.stop(), 0);
    const begin = performance.now();
    await cluster.startServer();
    const readyMs = performance.now() - begin;
    t.diagnostic(`second start: ready after ${Math.round(readyMs)} ms`);
    assert.doesNotMatch(cluster.server.output, /shown only now/);

    await cluster.online(cluster.nodeName);
    const users = JSON.parse(cluster.mezctlOk(["users", "list", "--format=json"])) as { name: string }[];
    assert.deepEqual(users.map(({ name }) => name).sort(), ["admin", "carol"]);
    assert.match(cluster.mezctlOk(["roles", "get", "web"]), /deploy/);
    const known = new Set(auditEvents(cluster));
    assert.deepEqual(
      events.filter((id) => !known.has(id)),
      [],
    );
    await eventually(() => recordings(cluster).some(({ id, state }) => id === recording && state === "complete"));
    assert.match(cluster.mshOk(["play", recording]), /kept over the restart/);
    assert.equal(cluster.mezctl(["audit", "verify"]).code, 0);
  });

  test("start keeps the data directory to itself", () => {
    const other = cluster.mezd(["start", `--config=${cluster.configFile}`]);
    assert.equal(other.code, 9);
    assert.match(other.stderr, /^mezd: data directory \S+ is in use by another mezd[^\n]*\n$/m);
  });

  test("applies a changed config file at SIGHUP, and keeps the old configuration when the new one is wrong", async () => {
    const before = readFileSync(cluster.configFile, "utf8");
    const write = (change: Record<string, unknown>) =>
      writeFileSync(cluster.configFile, JSON.stringify({ ...(JSON.parse(before) as object), ...change }));

    write({ plugins: { recordings: { enabled: false } } });
    cluster.server.process.kill("SIGHUP");
    await cluster.server.printed(/"generation":2,"msg":"configuration applied"/);
    assert.match(cluster.mezctl(["recordings", "ls"]).stderr, /plugin "recordings" is not enabled on cluster test/);

    write({ plugins: { recordings: { enabledd: true } } });
    cluster.server.process.kill("SIGHUP");
    await cluster.server.printed(/the configuration was not applied: .*enabledd/);
    assert.equal(cluster.mezctl(["users", "list"]).code, 0);

    writeFileSync(cluster.configFile, before);
    cluster.server.process.kill("SIGHUP");
    await cluster.server.printed(/"generation":3,"msg":"configuration applied"/);
    assert.equal(cluster.mezctl(["recordings", "ls"]).code, 0);
  });

  test("config check says what would run, also while it runs", () => {
    const { code, stdout } = cluster.mezd(["config", "check", `--config=${cluster.configFile}`]);
    assert.equal(code, 0);
    assert.match(stdout, /^configuration is valid: .*mezite\.yaml\ncluster {2}test\nroles {4}auth, proxy, node$/m);
  });

  for (const [what, text, message, exitCode] of [
    ["a section that nobody knows", '{"databse": {}}', /databse.*database/, 2],
    ["a key that nobody knows", '{"node": {"label": {}}}', /label/, 2],
    ["a value of the wrong kind", '{"proxy": {"enabled": "perhaps"}}', /enabled/, 2],
    ["a duration that is none", '{"proxy": {"policy_stale_after": "1 fortnight"}}', /wrong\.yaml:1: .*1 fortnight/, 2],
    ["a duration that is too short", '{"proxy": {"policy_stale_after": "1s"}}', /policy_stale_after is 1s; use at least 10s/, 2],
    ["a plugin that nobody knows", '{"plugins": {"recording": {}}}', /recording/, 2],
    ["to do without what every cluster needs", '{"plugins": {"roles": {"enabled": false}}}', /plugins\.roles\.enabled/, 2],
    ["to do without what others need", '{"plugins": {"recording.local": {"enabled": false}}}', /"recordings" requires/, 9],
    ["no YAML", "a: [", /line 1|:1/, 2],
  ] as const) {
    test(`config check refuses ${what} in one line`, () => {
      const file = join(cluster.folder, "wrong.yaml");
      writeFileSync(file, text);
      const { code, stdout, stderr } = cluster.mezd(["config", "check", `--config=${file}`]);
      assert.equal(stdout, "");
      assert.match(stderr, /^mezd: [^\n]+\n$/);
      assert.match(stderr, message);
      assert.equal(code, exitCode, stderr);
    });
  }
});

// --- internal ---

function recordings(cluster: Cluster): { id: string; state: string; command: string }[] {
  return JSON.parse(cluster.mezctlOk(["recordings", "ls", "--format=json"]));
}

function auditEvents(cluster: Cluster): string[] {
  const events = JSON.parse(cluster.mezctlOk(["audit", "ls", "--limit=1000", "--format=json"])) as { id: string }[];
  return events.map(({ id }) => id);
}
