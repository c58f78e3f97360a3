import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Cluster } from "../fixtures/cluster.js";
import { eventually } from "../fixtures/eventually.js";
import { SshSession } from "../fixtures/ssh-session.js";
import { needsPeers } from "../peers/require-peer.js";

const RELOADS = 20;
const RELOADED = ["recordings", "sessions", "authentication", "plugin-catalog"] as const;

interface PluginRow {
  readonly id: string;
  readonly state: string;
  readonly decided_by: string;
}

describe("plugins of a running server", needsPeers("ssh"), () => {
  let cluster: Cluster;
  let target: string;
  let session: SshSession;
  before(async () => {
    cluster = await Cluster.start({ node: "apart" });
    target = `${cluster.login}@${cluster.nodeName}`;
    session = await SshSession.open(cluster, target, ["-tt"]);
  });
  after(async () => {
    await session?.close();
    await cluster.stop();
  });

  test("are listed and shown", () => {
    const rows = plugins(cluster);
    assert.deepEqual(stateOf(rows, "recordings"), "on");
    assert.deepEqual(stateOf(rows, "roles"), "on");
    const shown = cluster.mezctlOk(["plugins", "inspect", "recordings"]);
    assert.match(shown, /recording-store/);
    assert.match(shown, /mezite\.recordings\.v1\.RecordingService/);
    const inventory = cluster.mezctlOk(["plugins", "inspect", "nodes"]);
    assert.match(inventory, /^Permissions: +node:list \(admin, session, auditor\); .*; agent:update \(proxy, node\)$/m);
    assert.doesNotMatch(inventory, /admin, (proxy|node)/, "what is for machines is not for people");
    const unknown = cluster.mezctl(["plugins", "inspect", "teapot"]);
    assert.equal(unknown.code, 5);
    assert.match(unknown.stderr, /no plugin "teapot"/);
  });

  for (const [id, command] of [
    ["recordings", ["recordings", "ls"]],
    ["sessions", ["sessions", "ls"]],
  ] as const) {
    test(`${id} goes and comes under a session that stays open`, async () => {
      assert.equal(cluster.mezctl(command).code, 0);
      cluster.mezctlOk(["plugins", "disable", id]);
      assert.equal(stateOf(plugins(cluster), id), "off");
      const refused = cluster.mezctl(command);
      assert.notEqual(refused.code, 0);
      assert.match(refused.stderr, new RegExp(`^mezctl: plugin "${id}" is not enabled on cluster test$`, "m"));
      await session.works();
      const started = await SshSession.open(cluster, target);
      cluster.mezctlOk(["plugins", "enable", id]);
      assert.equal(cluster.mezctl(command).code, 0);
      await session.works();
      await started.works();
      await started.close();
    });
  }

  test("what happened while they were off is told when they are back", async () => {
    cluster.mezctlOk(["plugins", "disable", "sessions"]);
    cluster.mezctlOk(["plugins", "disable", "recordings"]);
    assert.equal(cluster.ssh([target, "echo while nobody listened"]).code, 0);
    cluster.mezctlOk(["plugins", "enable", "recordings"]);
    cluster.mezctlOk(["plugins", "enable", "sessions"]);
    await eventually(() => cluster.mezctlOk(["recordings", "ls", "--format=json"]).includes("while nobody listened"));
    await eventually(() =>
      cluster.mezctlOk(["audit", "ls", "--type=session.exec", "--format=json"]).includes("while nobody listened"),
    );
    await session.works();
  });

  test("locks go and come: sessions stay, and who is locked is out again as soon as they are back", async () => {
    const home = cluster.person("lara", ["--roles=access", `--logins=${cluster.login}`]);
    cluster.mezctlOk(["locks", "create", "--user=lara", "--message=Holiday"]);
    assert.match(cluster.ssh([target, "true"], { home }).stderr, /user lara is locked: Holiday/);
    await eventually(async () => {
      cluster.mezctlOk(["plugins", "disable", "locks"]);
      await eventually(() => cluster.ssh([target, "true"], { home }).code === 0);
      await session.works();
      const locked = await SshSession.open(cluster, target, ["-tt"], { home });
      cluster.mezctlOk(["plugins", "enable", "locks"]);
      assert.equal(await locked.ended(), 255);
      // The node has half a second to say it, and a machine with much to do may be late.
      return /user lara is locked: Holiday/.test(`${locked.output}${locked.errors}`);
    });
    assert.match(cluster.ssh([target, "true"], { home }).stderr, /user lara is locked: Holiday/);
    await session.works();
    cluster.mezctlOk(["locks", "delete", "--target-type=user", "--target-name=lara"]);
  });

  test("devices go and come under a session that stays open", async () => {
    cluster.mezctlOk(["plugins", "disable", "devices"]);
    assert.match(cluster.mezctl(["devices", "ls"]).stderr, /plugin "devices" is not enabled on cluster test/);
    await session.works();
    assert.equal(cluster.ssh([target, "true"]).code, 0);
    cluster.mezctlOk(["plugins", "enable", "devices"]);
    assert.equal(cluster.mezctl(["devices", "ls"]).code, 0);
    await session.works();
  });

  test("are not switched off while others need them, and the others are named", () => {
    for (const [id, message] of [
      ["recording.local", /"recordings"/],
      ["roles", /"roles" is part of every cluster/],
      ["storage.sqlite", /"storage\.sqlite" is on when the config file says so: it goes with database\.driver/],
    ] as const) {
      const { code, stderr } = cluster.mezctl(["plugins", "disable", id]);
      assert.equal(code, 6, stderr);
      assert.match(stderr, message);
      assert.equal(stateOf(plugins(cluster), id), "on");
    }
  });

  test("are not switched by others than administrators", () => {
    const home = cluster.person("mallory", ["--roles=access"]);
    for (const verb of ["disable", "enable", "reload"]) {
      const { code, stderr } = cluster.mezctl(["plugins", verb, "recordings"], { home });
      assert.equal(code, 4, stderr);
    }
    assert.equal(stateOf(plugins(cluster), "recordings"), "on");
  });

  test(`are reloaded ${RELOADS} times under a session`, async () => {
    const starts = () => RELOADED.map((id) => shown(cluster, id).starts);
    const before = starts();
    for (let round = 0; round < RELOADS; round += 1) {
      const id = RELOADED[round % RELOADED.length] as string;
      const { code, stderr } = await cluster.mezctlMeanwhile(["plugins", "reload", id]);
      assert.equal(code, 0, `${id}: ${stderr}`);
      assert.match(stderr, new RegExp(`replaced .*${id}`));
      await session.works();
    }
    for (const [index, count] of starts().entries()) {
      assert.ok(count >= (before[index] as number) + RELOADS / RELOADED.length, `${RELOADED[index]}: ${count} starts`);
    }
    assert.equal(cluster.ssh([target, "exit 7"]).code, 7);
    await eventually(() => cluster.mezctlOk(["sessions", "ls", "--format=json"]).includes('"id"'));
    assert.doesNotMatch(cluster.server.output, /"level":50/);
    assert.equal(cluster.mezctl(["audit", "verify"]).code, 0);
  });

  test("stay as they were said to be after a restart", async () => {
    cluster.mezctlOk(["plugins", "disable", "recordings"]);
    await cluster.server.stop();
    await session.ended();
    // As when it was killed after the file and before the commit.
    const file = join(cluster.dataDirectory, "plugins.json");
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), recordings: false, devices: false }));
    await cluster.startServer();
    const disabled = cluster.mezctlOk(["audit", "ls", "--type=plugin.disabled", "--format=json"]);
    assert.equal(disabled.match(/"found": ?"plugins\.json"/g)?.length, 1, "that of recordings was audited");
    cluster.mezctlOk(["plugins", "enable", "devices"]);
    const row = plugins(cluster).find(({ id }) => id === "recordings");
    assert.deepEqual([row?.state, row?.decided_by], ["off", "command"]);
    assert.match(cluster.mezctl(["recordings", "ls"]).stderr, /plugin "recordings" is not enabled on cluster test/);
    cluster.mezctlOk(["plugins", "enable", "recordings"]);
    assert.equal(cluster.mezctl(["recordings", "ls"]).code, 0);
    await cluster.online(cluster.nodeName);
  });
});

// --- internal ---

function plugins(cluster: Cluster): PluginRow[] {
  return JSON.parse(cluster.mezctlOk(["plugins", "ls", "--format=json"]));
}

function shown(cluster: Cluster, id: string): { starts: number } {
  return JSON.parse(cluster.mezctlOk(["plugins", "inspect", id, "--format=json"]));
}

function stateOf(rows: readonly PluginRow[], id: string): string | undefined {
  return rows.find((row) => row.id === id)?.state;
}
