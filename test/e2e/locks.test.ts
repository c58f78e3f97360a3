import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Cluster } from "../fixtures/cluster.js";
import { askDirect, askingOf, directBridge } from "../fixtures/direct-client.js";
import { eventually } from "../fixtures/eventually.js";
import { SshSession } from "../fixtures/ssh-session.js";
import { needsPeers } from "../peers/require-peer.js";

interface ShownLock {
  readonly id: string;
  readonly target_type: string;
  readonly target_name: string;
  readonly message: string;
  readonly created_by: string;
  readonly expires_at: string | null;
}

describe("a lock", needsPeers("ssh"), () => {
  let cluster: Cluster;
  let target: string;
  let home: string;
  before(async () => {
    cluster = await Cluster.start({ node: "apart" });
    target = `${cluster.login}@${cluster.nodeName}`;
    const role = join(cluster.folder, "on-call.yaml");
    const allow = { node_labels: { "*": "*" }, logins: [cluster.login] };
    writeFileSync(role, JSON.stringify({ kind: "role", version: "v1", metadata: { name: "on-call" }, spec: { allow } }));
    cluster.mezctlOk(["roles", "create", `--from-file=${role}`]);
    home = cluster.person("alice", ["--roles=on-call"]);
  });
  after(() => cluster.stop());

  for (const [flags, type, name, said] of [
    [["--user=alice"], "user", "alice", "user alice is locked: Security review"],
    [["--role=on-call"], "role", "on-call", "role on-call is locked: Security review"],
    [["--agent=web-01"], "agent", "web-01", "agent web-01 is locked: Security review"],
    [["--type=user", "--name=alice"], "user", "alice", "user alice is locked: Security review"],
  ] as const) {
    test(`${flags.join(" ")} ends live sessions with its message, refuses new ones, and is over when it is deleted`, async () => {
      const sessions = [
        await SshSession.open(cluster, target, ["-tt"], { home }),
        await SshSession.open(cluster, target, [], { home }),
      ];
      lock([...flags, "--message=Security review"]);
      for (const session of sessions) {
        assert.equal(await session.ended(), 255);
        assert.ok(`${session.output}${session.errors}`.includes(`session ended: ${said}`), session.errors);
      }
      const refused = cluster.ssh([target, "true"], { home });
      assert.equal(refused.code, 255);
      assert.ok(refused.stderr.includes(said), refused.stderr);
      cluster.mezctlOk(["locks", "delete", `--target-type=${type}`, `--target-name=${name}`]);
      assert.deepEqual(locks(), []);
      await eventually(() => cluster.ssh([target, "true"], { home }).code === 0);
    });
  }

  test("ends a session of the direct route, which hears why from its node", async (t) => {
    const way = { port: cluster.ports.ssh, user: "alice", host: cluster.nodeName };
    const bridge = await directBridge(askingOf(home, way));
    t.after(bridge.close);
    const said = "session ended: user alice is locked: Security review";
    const { id } = await eventually(async () => {
      const session = await SshSession.open(cluster, target, bridge.flags, { home });
      const made = lock(["--user=alice", "--message=Security review"]);
      assert.equal(await session.ended(), 255);
      if (session.errors.includes(said)) return made;
      // Half a second is all that the node has for it, and a machine with much to do may be late.
      cluster.mezctlOk(["locks", "delete", made.id]);
      return null;
    });
    const { verdict, message } = await askDirect(askingOf(home, way));
    assert.deepEqual([verdict, message], ["refused", "user alice is locked: Security review"]);
    cluster.mezctlOk(["locks", "delete", id]);
  });

  test("leaves the sessions of others alone", async () => {
    const other = await SshSession.open(cluster, target);
    const { id } = lock(["--user=alice"]);
    assert.equal(cluster.ssh([target, "true"], { home }).code, 255);
    await other.works();
    await other.close();
    cluster.mezctlOk(["locks", "delete", id]);
  });

  test("on a user refuses logins, calls and certificates, and tells the audit log which lock it was", async () => {
    const password = "password of alice 1\n";
    const login = ["login", "--user=alice", "--password-stdin"];
    const { id } = lock(["--user=alice", "--message=Security review"]);
    const again = cluster.msh(login, { home, input: password });
    assert.deepEqual([again.code, again.stdout], [4, ""], again.stderr);
    assert.match(again.stderr, /user alice is locked: Security review/);
    const wrong = cluster.msh(login, { home, input: "wrong password\n" });
    assert.match(wrong.stderr, /invalid credentials/);
    const call = cluster.msh(["ls"], { home });
    assert.equal(call.code, 4, call.stderr);
    assert.match(call.stderr, /user alice is locked/);
    cluster.ssh([target, "true"], { home });
    const denied = await eventually(() => {
      const rows = audit("access.denied").filter((row) => JSON.stringify(row).includes(`lock ${id}`));
      return rows.length >= 2 && rows;
    });
    for (const row of denied) assert.doesNotMatch(String(row["error_message"]), new RegExp(id));
    for (const shown of [again, wrong, call]) assert.doesNotMatch(shown.stderr, new RegExp(id));
    cluster.mezctlOk(["locks", "delete", id]);
    assert.equal(cluster.msh(["ls"], { home }).code, 0);
    cluster.mshOk(login, { home, input: password });
  });

  test("with a time to live vanishes by itself, and a longer one on the same target goes on", async () => {
    lock(["--user=alice", "--ttl=1s"]);
    const { id, expires_at } = lock(["--user=alice", "--ttl=1h"]);
    assert.ok(expires_at !== null && new Date(expires_at) > new Date());
    await eventually(() => locks().length === 1);
    assert.equal(locks()[0]?.id, id);
    assert.equal(cluster.ssh([target, "true"], { home }).code, 255);
    cluster.mezctlOk(["locks", "delete", id]);
    lock(["--user=alice", "--ttl=1s"]);
    await eventually(() => locks().length === 0);
    await eventually(() => cluster.ssh([target, "true"], { home }).code === 0);
  });

  test("holds over a restart of the server", async () => {
    const { id } = lock(["--user=alice", "--message=Security review"]);
    await cluster.server.stop();
    await cluster.startServer();
    await cluster.online(cluster.nodeName);
    assert.match(cluster.ssh([target, "true"], { home }).stderr, /user alice is locked: Security review/);
    assert.deepEqual(
      locks().map((each) => [each.id, each.created_by]),
      [[id, "admin"]],
    );
    cluster.mezctlOk(["locks", "delete", id]);
  });

  for (const [args, code, said] of [
    [["create"], 2, /a lock needs a target; give --user, --role, --agent, --device, or --type with --name/],
    [["create", "--user=alice", "--role=on-call"], 2, /a lock has one target; give --user or --role, not both/],
    [["create", "--type=user"], 2, /--type and --name go together/],
    [["create", "--type=person", "--name=alice"], 2, /person/],
    [["create", "--user=alice", "--tttl=1h"], 2, /--tttl/],
    [["create", "--user=alice", "--ttl=soon"], 2, /soon/],
    [["create", "--user="], 2, /user/],
    [["create", "--user=alcie"], 5, /there is no user "alcie" to lock/],
    [["create", "--role=on-cal"], 5, /there is no role "on-cal" to lock/],
    [["create", "--user=admin"], 6, /would leave no user with role admin/],
    [["create", "--role=admin"], 6, /would leave no user with role admin/],
    [["delete"], 2, /say which lock/],
    [["delete", "7f3a"], 5, /there is no lock with id "7f3a"/],
    [["delete", "7f3a", "--target-type=user", "--target-name=alice"], 2, /not both/],
    [["delete", "--target-type=user", "--target-name=alice"], 5, /there is no lock on user alice/],
  ] as const) {
    test(`mezctl locks ${args.join(" ")} is refused in one line, and nothing is locked`, () => {
      const result = cluster.mezctl(["locks", ...args]);
      assert.match(result.stderr, said);
      const lines = result.stderr.split("\n").filter((line) => line !== "" && !line.startsWith("mezctl: hint:"));
      assert.deepEqual([result.code, result.stdout, lines.length], [code, "", 1], result.stderr);
      assert.deepEqual(locks(), []);
    });
  }

  test("is in the audit log from its beginning to its end, and the chain holds", () => {
    const { id } = lock(["--type=device", "--name=laptop-7"]);
    cluster.mezctlOk(["locks", "delete", id]);
    for (const type of ["lock.created", "lock.deleted"]) assert.ok(JSON.stringify(audit(type)).includes(id), type);
    assert.equal(cluster.mezctl(["audit", "verify"]).code, 0);
  });

  function lock(flags: readonly string[]): ShownLock {
    return JSON.parse(cluster.mezctlOk(["locks", "create", ...flags, "--format=json"])) as ShownLock;
  }

  function locks(): readonly ShownLock[] {
    return JSON.parse(cluster.mezctlOk(["locks", "list", "--format=json"])) as ShownLock[];
  }

  function audit(type: string): readonly Record<string, unknown>[] {
    return JSON.parse(cluster.mezctlOk(["audit", "ls", `--type=${type}`, "--format=json"])) as Record<string, unknown>[];
  }
});

describe("a proxy and a node that may have missed a lock", needsPeers("ssh"), () => {
  let cluster: Cluster;
  let target: string;
  before(async () => {
    const env = { MEZITE_PLUGINS_LOCKS_LOCK_STALE_AFTER: "10s" };
    cluster = await Cluster.start({ node: "apart", proxy: "apart", env });
    target = `${cluster.login}@${cluster.nodeName}`;
  });
  after(() => cluster.stop());

  test("let nobody new in while the auth service is silent, keep live sessions, and open again when it is back", async () => {
    const session = await SshSession.open(cluster, target);
    await cluster.server.stop();
    const refusal = await eventually(() => {
      const { code, stderr } = cluster.ssh([target, "true"]);
      return code === 255 && stderr;
    });
    assert.match(refusal, /locks cannot be checked: nothing was heard from the auth service for \d+s; try again when it is back/);
    await session.works();
    await cluster.startServer();
    await cluster.online(cluster.nodeName);
    await session.works();
    cluster.mezctlOk(["locks", "create", `--agent=${cluster.nodeName}`, "--message=moved"]);
    assert.equal(await session.ended(), 255);
    assert.match(session.errors, /agent web-01 is locked: moved/);
  });
});

test("without the plugin there are no locks, and everything else works", needsPeers("ssh"), async () => {
  const cluster = await Cluster.start({ config: { plugins: { locks: { enabled: false } } } });
  try {
    const { code, stderr } = cluster.mezctl(["locks", "list"]);
    assert.match(stderr, /plugin "locks" is not enabled|not enabled/);
    assert.equal(code, 7);
    assert.equal(cluster.ssh([`${cluster.login}@${cluster.nodeName}`, "exit 3"]).code, 3);
  } finally {
    await cluster.stop();
  }
});
