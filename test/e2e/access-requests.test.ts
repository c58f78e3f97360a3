import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Cluster } from "../fixtures/cluster.js";
import { eventually } from "../fixtures/eventually.js";
import { SshSession } from "../fixtures/ssh-session.js";
import { needsPeers } from "../peers/require-peer.js";

const MSH = fileURLToPath(new URL("../../cli/msh.js", import.meta.url));

interface Row {
  readonly id: string;
  readonly state: string;
  readonly user: string;
}

describe("access requests", needsPeers("ssh"), () => {
  let cluster: Cluster;
  let target: string;
  let alice: string;
  let bob: string;
  before(async () => {
    cluster = await Cluster.start({ node: "apart" });
    target = `${cluster.login}@${cluster.nodeName}`;
    const logins = [cluster.login];
    role("production", { allow: { node_labels: { env: "test" }, logins } });
    role("dev", { allow: { logins, request_roles: ["production"] } });
    role("oncall", { allow: { logins, request_resources: [cluster.nodeName] } });
    role("lead", { allow: { review_roles: ["production", "oncall"] } });
    alice = cluster.person("alice", ["--roles=dev"]);
    bob = cluster.person("bob", ["--roles=lead"]);
  });
  after(() => cluster.stop());

  test("a granted role opens a session, and revoking it ends that session at once", async () => {
    assert.equal(cluster.ssh([target, "true"], { home: alice }).code, 255);
    const { id, state } = JSON.parse(
      msh(alice, ["request", "create", "--roles=production", "--reason=ticket 4711", "--format=json"]),
    ) as Row;
    assert.equal(state, "pending");
    assert.match(msh(bob, ["request", "ls"]), new RegExp(`${id} +alice +production +- +pending`));
    const own = cluster.run("sh", ["-c", `${mezctl()} access-requests approve ${id}`], { env: tokenOf(alice) });
    assert.equal(own.code, 4);
    assert.match(own.stderr, /^mezctl: nobody reviews their own request; ask somebody else\n$/);
    review("approve", id);
    cluster.mshOk(["login", "--user=alice", "--password-stdin"], { home: alice, input: "password of alice 1\n" });
    const session = await SshSession.open(cluster, target, [], { home: alice });
    cluster.mezctlOk(["access-requests", "revoke", id.slice(0, 8), "--reason=done"]);
    assert.equal(await session.ended(), 255);
    await eventually(() => cluster.ssh([target, "true"], { home: alice }).code === 255);
    const again = cluster.mezctl(["access-requests", "revoke", id]);
    assert.deepEqual([again.code, again.stderr], [6, `mezctl: request ${id} is revoked already\n`]);
  });

  test("msh ssh --request asks, waits, and connects when it is approved", async () => {
    const waiting = start(alice, ["ssh", "--request", "--reason=disk full", target, "echo connected"]);
    review("approve", await pendingOf("alice"));
    const { code, stdout, stderr } = await waiting;
    assert.deepEqual([code, stdout], [0, "connected\n"], stderr);
    assert.match(stderr, /waits for a review/);
    // What is reachable already is not asked for again.
    const count = rows().length;
    assert.equal(cluster.msh(["ssh", "--request", target, "true"], { home: alice }).code, 0);
    assert.equal(rows().length, count);
    cluster.mezctlOk(["access-requests", "revoke", rows()[0]?.id ?? ""]);
  });

  test("a denial ends the wait with the reviewer's reason", async () => {
    const waiting = start(alice, ["ssh", "--request", target, "true"]);
    review("deny", await pendingOf("alice"), "not today");
    const { code, stderr } = await waiting;
    assert.equal(code, 4);
    assert.match(stderr, /msh: request \S+ was denied by bob: not today\n$/);
  });

  test("Ctrl-C cancels what nobody has decided", async () => {
    const child = spawn(process.execPath, [MSH, "request", "create", "--roles=production", "--wait"], {
      env: cluster.environment({ home: alice }),
      stdio: "ignore",
    });
    const id = await pendingOf("alice");
    child.kill("SIGINT");
    await eventually(() => rows().find((row) => row.id === id)?.state === "cancelled");
  });

  test("a single node is reached with the certificate at hand, until the access ends by itself", async () => {
    const carol = cluster.person("carol", ["--roles=oncall"]);
    assert.equal(cluster.ssh([target, "true"], { home: carol }).code, 255);
    const { id } = JSON.parse(
      msh(carol, ["request", "create", `--nodes=${cluster.nodeName}`, "--ttl=20s", "--format=json"]),
    ) as Row;
    review("approve", id);
    const session = await SshSession.open(cluster, target, [], { home: carol });
    assert.equal(await session.ended(), 255, "the session ends with the access");
    await eventually(() => rows().find((row) => row.id === id)?.state === "expired");
    assert.equal(cluster.ssh([target, "true"], { home: carol }).code, 255);
  });

  test("a certificate with a granted role dies with the grant", () => {
    const { id } = JSON.parse(msh(alice, ["request", "create", "--roles=production", "--ttl=10m", "--format=json"])) as Row;
    review("approve", id);
    const { code, stderr } = cluster.msh(["login", "--user=alice", "--password-stdin"], {
      home: alice,
      input: "password of alice 1\n",
    });
    assert.equal(code, 0);
    assert.match(stderr, /valid for (10m|9m\d+s): then access that was granted to you ends/);
    cluster.mezctlOk(["access-requests", "revoke", id]);
  });

  for (const [what, args, code, words] of [
    [
      "a role that may not be asked for",
      ["--roles=admin"],
      4,
      /alice may not ask for role "admin"; roles to ask for: production\n$/,
    ],
    ["nothing", [], 2, /a request names at least one role or node/],
    ["a node that is not offered", ["--nodes=web-99"], 4, /alice may not ask for node "web-99"/],
  ] as const) {
    test(`asking for ${what} fails in one line`, () => {
      const result = cluster.msh(["request", "create", ...args], { home: alice });
      assert.equal(result.code, code, result.stderr);
      assert.match(result.stderr, words);
    });
  }

  test("the audit log has every step, and its chain holds", () => {
    const types = (JSON.parse(cluster.mezctlOk(["audit", "ls", "--limit=1000", "--format=json"])) as { event_type: string }[])
      .map(({ event_type }) => event_type)
      .filter((type) => type.startsWith("access_request."));
    for (const step of ["created", "approved", "denied", "cancelled", "revoked", "expired"])
      assert.ok(types.includes(`access_request.${step}`), step);
    assert.equal(cluster.mezctl(["audit", "verify"]).code, 0);
  });

  // --- internal ---

  function role(name: string, spec: Readonly<Record<string, unknown>>): void {
    const file = join(cluster.folder, `${name}.yaml`);
    writeFileSync(file, JSON.stringify({ kind: "role", version: "v1", metadata: { name }, spec }));
    cluster.mezctlOk(["roles", "create", `--from-file=${file}`]);
  }

  function msh(home: string, args: readonly string[]): string {
    return cluster.mshOk(args, { home });
  }

  function mezctl(): string {
    return `'${process.execPath}' '${fileURLToPath(new URL("../../cli/mezctl.js", import.meta.url))}'`;
  }

  /** mezctl as somebody who is logged in with msh. */
  function tokenOf(home: string): Record<string, string> {
    const token = cluster.run("cat", [join(home, ".mezite", "profiles", "test", "session")]).stdout.trim();
    return { MEZITE_AUTH_TOKEN: token };
  }

  function review(verdict: "approve" | "deny", id: string, reason = ""): void {
    const words = `${mezctl()} access-requests ${verdict} ${id}${reason === "" ? "" : ` --reason='${reason}'`}`;
    const { code, stderr } = cluster.run("sh", ["-c", words], { env: tokenOf(bob) });
    assert.equal(code, 0, stderr);
  }

  function rows(): readonly Row[] {
    return JSON.parse(cluster.mezctlOk(["access-requests", "ls", "--format=json"])) as Row[];
  }

  function pendingOf(name: string): Promise<string> {
    return eventually(() => rows().find(({ user, state }) => user === name && state === "pending")?.id);
  }

  function start(home: string, args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const child = spawn(process.execPath, [MSH, ...args], {
      env: cluster.environment({ home }),
      stdio: ["ignore", "pipe", "pipe"],
    });
    const finished = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (text: string) => {
        finished[name] += text;
      });
    }
    return new Promise((resolve) => child.once("close", (code) => resolve({ code: code ?? -1, ...finished })));
  }
});
