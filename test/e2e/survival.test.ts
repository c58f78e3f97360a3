import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Cluster } from "../fixtures/cluster.js";
import { eventually } from "../fixtures/eventually.js";
import { SshSession } from "../fixtures/ssh-session.js";
import { needsPeers } from "../peers/require-peer.js";

describe("a process that is killed", needsPeers("ssh"), () => {
  let cluster: Cluster;
  let target: string;
  before(async () => {
    cluster = await Cluster.start({ node: "apart" });
    target = `${cluster.login}@${cluster.nodeName}`;
  });
  after(() => cluster.stop());

  test("loses nothing that was acknowledged when it is the server, time after time", async (t) => {
    const acknowledged: string[] = [];
    let tries = 0;
    for (let round = 0; round < 3; round += 1) {
      let isRunning = true;
      const create = async (who: string): Promise<void> => {
        while (isRunning) {
          const name = `${who}-${tries++}`;
          const { code, stderr } = await cluster.mezctlMeanwhile(["users", "create", name, "--roles=access"]);
          if (code === 0) acknowledged.push(name);
          else assert.match(stderr, /^mezctl: [^\n]+\n$/, "a lost server is told in one line");
        }
      };
      const writers = ["a", "b", "c"].map(create);
      const before = acknowledged.length;
      await eventually(() => acknowledged.length >= before + 4);
      await delay(Math.random() * 300);
      assert.equal(await cluster.server.stop("SIGKILL"), -1);
      isRunning = false;
      await Promise.all(writers);
      await cluster.startServer();
      const users = JSON.parse(cluster.mezctlOk(["users", "list", "--format=json"])) as { name: string }[];
      const known = new Set(users.map(({ name }) => name));
      assert.deepEqual(
        acknowledged.filter((name) => !known.has(name)),
        [],
      );
      assert.equal(cluster.mezctl(["audit", "verify"]).code, 0);
    }
    t.diagnostic(`${acknowledged.length} of ${tries} users acknowledged, 3 times killed`);
    const told = JSON.parse(cluster.mezctlOk(["audit", "ls", "--type=user.created", "--limit=1000", "--format=json"])) as {
      resource_name: string;
    }[];
    const audited = new Set(told.map(({ resource_name }) => resource_name));
    assert.deepEqual(
      acknowledged.filter((name) => !audited.has(name)),
      [],
    );
  });

  test("takes its sessions with it when it is the proxy; the node comes back by itself", async () => {
    await cluster.online(cluster.nodeName);
    const session = await SshSession.open(cluster, target);
    const [{ id } = { id: "" }] = await eventually(() => {
      const live = liveSessions(cluster);
      return live.length === 1 && live;
    });
    await cluster.server.stop("SIGKILL");
    assert.equal(await session.ended(), 255);
    await cluster.startServer();
    await cluster.online(cluster.nodeName);
    await eventually(() => !liveSessions(cluster).some((live) => live.id === id));
    await eventually(() => auditedEnds(cluster).includes(id));
    assert.equal(cluster.mezctl(["audit", "verify"]).code, 0);
  });

  test("leaves the recording when it is the node: it is uploaded at the next start and plays", async () => {
    const session = await SshSession.open(cluster, target, ["-tt"]);
    session.type("echo before the $((40 + 2))nd crash");
    await session.printed(/before the 42nd crash/);
    await session.works();
    const id = await session.id();
    await eventually(() => isRecorded(cluster, "before the 42nd crash"));
    await cluster.node?.stop("SIGKILL");
    assert.equal(await session.ended(), 255);
    const refused = cluster.ssh([target, "true"]);
    assert.equal(refused.code, 255);
    assert.match(refused.stderr, /node "web-01" is offline/);

    cluster.node = await cluster.startNode(cluster.nodeName, ["--labels=env=test"]);
    await eventually(() => {
      const rows = JSON.parse(cluster.mezctlOk(["recordings", "ls", "--format=json"])) as { id: string; state: string }[];
      return rows.some((row) => row.id === id && row.state === "interrupted");
    });
    assert.match(cluster.mshOk(["play", id]), /before the 42nd crash/);
    await eventually(() => !liveSessions(cluster).some((live) => live.id === id));
    assert.ok(auditedEnds(cluster).includes(id));
  });
});

// --- internal ---

function liveSessions(cluster: Cluster): { id: string }[] {
  return JSON.parse(cluster.mezctlOk(["sessions", "ls", "--format=json"]));
}

/** Whether the node has put something on its disk. */
function isRecorded(cluster: Cluster, words: string): boolean {
  const folder = join(cluster.folder, cluster.nodeName, "recordings");
  return readdirSync(folder).some((name) => readFileSync(join(folder, name), "utf8").includes(words));
}

function auditedEnds(cluster: Cluster): string[] {
  const events = JSON.parse(cluster.mezctlOk(["audit", "ls", "--type=session.end", "--limit=1000", "--format=json"]));
  return (events as { session_id: string }[]).map(({ session_id }) => session_id);
}
