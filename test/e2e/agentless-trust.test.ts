import assert from "node:assert/strict";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { AGENTLESS_NODE, AGENTLESS_PEERS, AgentlessBed } from "../fixtures/agentless-bed.js";
import { eventually } from "../fixtures/eventually.js";
import { SshSession } from "../fixtures/ssh-session.js";

describe("who may reach a node without an agent, and what it has to show", AGENTLESS_PEERS, () => {
  let bed: AgentlessBed;
  before(async () => {
    bed = await AgentlessBed.start();
  });
  after(() => bed?.stop());

  for (const [flags, said] of [
    [["--user=fay"], "user fay is locked"],
    [[`--agent=${AGENTLESS_NODE}`], `agent ${AGENTLESS_NODE} is locked`],
  ] as const) {
    test(`a lock ${flags.join(" ")} ends live sessions and refuses new ones`, async () => {
      const session = await SshSession.open(bed.cluster, bed.target, [], { home: bed.free });
      const lock = JSON.parse(bed.cluster.mezctlOk(["locks", "create", ...flags, "--format=json"])) as { id: string };
      assert.equal(await session.ended(), 255);
      assert.ok(session.errors.includes(said), session.errors);
      const refused = bed.ssh(bed.target, "true");
      assert.deepEqual([refused.code, refused.stderr.includes(said)], [255, true], refused.stderr);
      bed.cluster.mezctlOk(["locks", "delete", lock.id]);
      await eventually(() => bed.ssh(bed.target, "true").code === 0);
    });
  }

  test("a role that loses its labels ends live sessions", async () => {
    const session = await SshSession.open(bed.cluster, bed.target, [], { home: bed.free });
    bed.cluster.mezctlOk(["nodes", "update", AGENTLESS_NODE, "--labels=env=production,role=other"]);
    assert.equal(await session.ended(), 255);
    bed.cluster.mezctlOk(["nodes", "update", AGENTLESS_NODE, "--labels=env=production,role=db"]);
    await eventually(() => bed.ssh(bed.target, "true").code === 0);
  });

  test("a host that shows another key is refused with both fingerprints, until the key is rotated", async () => {
    const pinned = bed.fingerprint();
    await bed.sshd.down();
    bed.sshd.makeHostKey("ecdsa");
    await bed.sshd.up();
    const { code, stderr } = bed.ssh(bed.target, "true");
    assert.equal(code, 255);
    assert.ok(stderr.includes(pinned) && stderr.includes(bed.fingerprint()), stderr);
    const denied = await eventually(() =>
      bed.events("access.denied").find(({ error_message }) => error_message.includes(bed.fingerprint())),
    );
    assert.ok(denied.error_message.includes(pinned));
    const other = join(bed.folder, "another");
    bed.cluster.run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", other]);
    const wrong = bed.cluster.mezctl([
      "nodes",
      "rotate-host-key",
      AGENTLESS_NODE,
      `--host-key-file=${other}.pub`,
      "--verify-host-key",
    ]);
    assert.equal(wrong.code, 4, wrong.stderr);
    bed.cluster.mezctlOk(["nodes", "rotate-host-key", AGENTLESS_NODE, `--host-key=${bed.sshd.hostKeyLine}`, "--verify-host-key"]);
    await eventually(() => bed.ssh(bed.target, "true").code === 0);
  });

  test("says that a node cannot be reached, and goes on when it is back", async () => {
    await bed.sshd.down();
    const { code, stderr } = bed.ssh(bed.target, "true");
    assert.equal(code, 255);
    assert.match(
      stderr,
      new RegExp(`node ${AGENTLESS_NODE} cannot be reached at 127\\.0\\.0\\.1:${bed.sshd.port}: .*ECONNREFUSED`),
    );
    await bed.sshd.up();
    assert.equal(bed.ssh(bed.target, "true").code, 0);
  });

  test("an sshd that does not trust the User CA that signs now refuses, until it has the new file", () => {
    const before = JSON.parse(bed.cluster.mezctlOk(["nodes", "get", AGENTLESS_NODE, "--format=json"])) as {
      user_authority: string;
    };
    bed.cluster.mezctlOk(["ca", "rotate", "--type=user"]);
    assert.match(
      bed.cluster.mezctlOk(["ca", "status"]) + bed.cluster.mezctl(["ca", "status"]).stderr,
      /openssh db-01 has to be given the User CA by hand/,
    );
    bed.cluster.mezctlOk(["ca", "advance", "--type=user", "--force"]);
    const { code, stderr } = bed.ssh(bed.target, "true");
    assert.equal(code, 255);
    assert.match(stderr, /the sshd of node db-01 refused the login; it has to trust the User CA that signs now/);
    bed.sshd.trust(bed.userCa());
    assert.equal(bed.ssh(bed.target, "true").code, 0);
    const after = JSON.parse(bed.cluster.mezctlOk(["nodes", "get", AGENTLESS_NODE, "--format=json"])) as {
      user_authority: string;
    };
    assert.notEqual(after.user_authority, before.user_authority);
    assert.doesNotMatch(bed.cluster.mezctlOk(["ca", "status"]) + bed.cluster.mezctl(["ca", "status"]).stderr, /by hand/);
  });

  for (const [what, flags, pattern] of [
    [
      "a file that is missing",
      ["--host-key-file=/nowhere/key.pub"],
      /cannot read \/nowhere\/key\.pub: no such file or directory/,
    ],
    ["garbage", ["--host-key=what is this"], /--host-key holds no SSH public key/],
    ["a file of another kind", ["--host-key-file=/etc/passwd"], /\/etc\/passwd holds no SSH public key/],
    ["both sources", ["--host-key=ssh-ed25519 AAAA", "--host-key-file=/x"], /give the node's host key with one of/],
    ["no key", [], /give the node's host key with one of/],
  ] as const) {
    test(`nodes add refuses ${what} with one line`, () => {
      const { code, stderr } = bed.add(flags, "db-02");
      assert.deepEqual([code, pattern.test(stderr), stderr.trim().split("\n").length], [2, true, 1], stderr);
    });
  }

  test("nodes add refuses two keys, a private key, a name that is taken, and a host that shows another key", () => {
    const two = join(bed.folder, "two.pub");
    writeFileSync(two, `${bed.sshd.hostKeyLine}\n${bed.sshd.hostKeyLine}\n`);
    assert.match(bed.add([`--host-key-file=${two}`], "db-02").stderr, /holds 2 keys/);
    assert.match(bed.add([`--host-key-file=${bed.sshd.path("host")}`], "db-02").stderr, /holds a private key/);
    const taken = bed.add([`--host-key=${bed.sshd.hostKeyLine}`]);
    assert.deepEqual([taken.code, /named "db-01" was added already/.test(taken.stderr)], [6, true], taken.stderr);
    const other = join(bed.folder, "other");
    bed.cluster.run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", other]);
    const wrong = bed.add([`--host-key-file=${other}.pub`, "--verify-host-key"], "db-02");
    assert.deepEqual([wrong.code, (wrong.stderr.match(/SHA256:/g) ?? []).length], [4, 2], wrong.stderr);
    assert.equal(bed.cluster.mezctl(["nodes", "get", "db-02"]).code, 5);
    assert.deepEqual(readdirSync(bed.cluster.folder).includes("db-02"), false);
  });

  test("removing the node ends its sessions", async () => {
    const session = await SshSession.open(bed.cluster, bed.target, [], { home: bed.free });
    bed.cluster.mezctlOk(["nodes", "rm", AGENTLESS_NODE]);
    assert.equal(await session.ended(), 255);
    assert.match(bed.ssh(bed.target, "true").stderr, /there is no node "db-01" that fay may reach/);
  });
});
