import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Cluster } from "../fixtures/cluster.js";
import { askingOf, directBridge } from "../fixtures/direct-client.js";
import { eventually } from "../fixtures/eventually.js";
import { descendantsOf, isRunning } from "../fixtures/process-tree.js";
import { SshSession } from "../fixtures/ssh-session.js";
import { needsPeers } from "../peers/require-peer.js";

const STALE_AFTER = "10s";

describe("auth service, proxy and node as three processes", needsPeers("ssh"), () => {
  let cluster: Cluster;
  let target: string;
  before(async () => {
    cluster = await Cluster.start({
      ...{ node: "apart", proxy: "apart" },
      config: { proxy: { policy_stale_after: STALE_AFTER } },
      env: { MEZITE_NODE_POLICY_STALE_AFTER: STALE_AFTER },
    });
    target = `${cluster.login}@${cluster.nodeName}`;
  });
  after(() => cluster.stop());

  test("serve a session", () => {
    const { code, stdout, stderr } = cluster.ssh([target, "echo here; exit 5"]);
    assert.deepEqual([code, stdout, stderr], [5, "here\n", ""]);
    assert.match(cluster.mezctlOk(["nodes", "ls", "--proxies"]), /online/);
  });

  test("go on without the auth service for a while, refuse after that, and tell everything when it is back", async () => {
    const session = await SshSession.open(cluster, target, ["-tt"]);
    assert.equal(await cluster.server.stop(), 0);
    await session.works();
    assert.equal(cluster.ssh([target, "echo from cached policy; exit 3"]).code, 3);

    const refusal = await eventually(() => {
      const { code, stderr } = cluster.ssh([target, "true"]);
      return code === 255 && stderr;
    });
    assert.match(
      refusal,
      /^(?:msh: )?th(e proxy|is node) has not heard from the auth service for \d+s(, so it lets nobody in| and lets no new session in)/m,
    );
    await session.works();

    await cluster.startServer();
    await cluster.online(cluster.nodeName);
    await session.works();
    await eventually(() =>
      cluster.mezctlOk(["audit", "ls", "--type=session.exec", "--format=json"]).includes("from cached policy"),
    );
    await eventually(() => cluster.mezctlOk(["recordings", "ls", "--format=json"]).includes("from cached policy"));
    await eventually(() => liveSessions(cluster).length === 1);
    await session.close();
    await eventually(() => liveSessions(cluster).length === 0);
    assert.equal(cluster.mezctl(["audit", "verify"]).code, 0);
  });

  test("end the sessions of a user who is deleted, and close the door", async () => {
    writeRole(cluster, [cluster.login]);
    const home = cluster.person("dave", ["--roles=door"]);
    const session = await SshSession.open(cluster, target, [], { home });
    cluster.mezctlOk(["users", "delete", "dave"]);
    assert.equal(await session.ended(), 255);
    assert.match(session.errors, /dave/);
    assert.equal(cluster.ssh([target, "true"], { home }).code, 255);
    await cluster.online(cluster.nodeName);
  });

  test("end the sessions that a changed role no longer allows", async () => {
    writeRole(cluster, [cluster.login]);
    const home = cluster.person("erin", ["--roles=door"]);
    const session = await SshSession.open(cluster, target, [], { home });
    writeRole(cluster, ["somebody-else"]);
    assert.equal(await session.ended(), 255);
    assert.match(session.errors, /your access has ended|may no longer/);
    assert.equal(cluster.ssh([target, "true"], { home }).code, 255);
    writeRole(cluster, [cluster.login]);
    await eventually(() => cluster.ssh([target, "true"], { home }).code === 0);
  });

  for (const [kind, flags] of [
    ["with a terminal", ["-tt"]],
    ["without a terminal", []],
  ] as const) {
    test(`end a session ${kind} that is terminated on both sides, and show the reason`, async () => {
      const other = await SshSession.open(cluster, target);
      const { first, second, programs } = await eventually(async () => {
        const before = new Set(programsOf(cluster));
        const session = await SshSession.open(cluster, target, flags);
        session.type("sleep 1000");
        const programs = await eventually(() => {
          const found = programsOf(cluster).filter((pid) => !before.has(pid));
          return found.length >= 2 && found;
        });
        const [first, second] = await eventually(() => liveSessions(cluster).length === 2 && liveSessions(cluster));
        assert.ok(first !== undefined && second !== undefined);
        cluster.mezctlOk(["sessions", "terminate", second.id, "--reason=maintenance in five minutes"]);
        assert.equal(await session.ended(), 255);
        // The proxy has half a second to say it, and a machine with much to do may be late.
        const isTold = `${session.output}${session.errors}`.includes("session terminated by admin: maintenance in five minutes");
        return isTold && { first, second, programs };
      });
      assert.deepEqual(
        liveSessions(cluster).map(({ id }) => id),
        [first.id],
      );
      await eventually(() => !programs.some(isRunning));
      await other.works();
      await other.close();
      const again = cluster.mezctl(["sessions", "terminate", second.id]);
      assert.equal(again.code, 5);
      assert.match(again.stderr, /there is no live session/);
      assert.match(
        cluster.mezctlOk(["audit", "ls", "--type=session.terminated", "--format=json"]),
        /maintenance in five minutes/,
      );
      await eventually(() => liveSessions(cluster).length === 0);
    });
  }

  test("tell sessions of the direct route why they end when only the proxy knows", async (t) => {
    const home = cluster.person("frank", ["--roles=door"]);
    const way = { port: cluster.ports.ssh, user: "frank", host: cluster.nodeName };
    const bridge = await directBridge(askingOf(home, way));
    t.after(bridge.close);
    const [proxy] = JSON.parse(cluster.mezctlOk(["nodes", "ls", "--proxies", "--format=json"])) as { name: string }[];

    // The node has some tenths of a second to say it, and a machine with much to do may be late.
    await eventually(async () => {
      const session = await SshSession.open(cluster, target, bridge.flags, { home });
      cluster.mezctlOk(["locks", "create", `--agent=${proxy?.name}`, "--message=under suspicion"]);
      assert.equal(await session.ended(), 255);
      cluster.mezctlOk(["locks", "delete", "--target-type=agent", `--target-name=${proxy?.name}`]);
      await eventually(() => cluster.ssh([target, "true"], { home }).code === 0);
      return /the proxy has ended the session: .*agent \S+ is locked: under suspicion/.test(session.errors);
    });
    await eventually(async () => {
      const session = await SshSession.open(cluster, target, bridge.flags, { home });
      assert.equal(await cluster.proxy?.stop(), 0);
      assert.equal(await session.ended(), 255);
      await cluster.startProxy();
      await cluster.online(cluster.nodeName);
      return /the proxy has ended the session: the server is shutting down/.test(session.errors);
    });
  });

  test("let no node back in that was removed, nor its sessions go on", async () => {
    const session = await SshSession.open(cluster, target);
    cluster.mezctlOk(["nodes", "rm", cluster.nodeName]);
    assert.equal(await session.ended(), 255);
    // Proxy and node say it in words of their own, and either may be first.
    assert.match(session.errors, /node web-01 (was removed from|is not registered in) the cluster/);

    await eventually(() => cluster.ssh([target, "true"]).code === 255);
    await cluster.node?.stop("SIGKILL");
    const back = cluster.joining(
      ["node", `--name=${cluster.nodeName}`, `--proxy=localhost:${cluster.ports.tunnel}`],
      "node",
      cluster.nodeName,
    );
    await back.printed(/this agent was removed from the cluster; join it again with a new token/);
    await back.printed(/cannot open a tunnel to [^ ]+ node [^ ]+ is not in the inventory of cluster/);
    assert.equal(cluster.ssh([target, "true"]).code, 255);
    await back.stop("SIGKILL");

    cluster.node = cluster.joining(["node", "--name=web-02", `--proxy=localhost:${cluster.ports.tunnel}`], "node", "web-02");
    await cluster.online("web-02");
  });

  test("let no proxy back in that was removed", async () => {
    const [proxy] = JSON.parse(cluster.mezctlOk(["nodes", "ls", "--proxies", "--format=json"])) as { name: string }[];
    cluster.mezctlOk(["nodes", "rm", proxy?.name as string, "--proxy"]);
    await cluster.proxy?.printed(/removed from the cluster/);
    await cluster.proxy?.stop("SIGKILL");
    const back = cluster.joining(["proxy", `--config=${cluster.configFile}`], "proxy", "proxy");
    await back.printed(/this agent was removed from the cluster; join it again with a new token/);
    await eventually(() => cluster.ssh([`${cluster.login}@web-02`, "true"]).code === 255);
    await back.stop("SIGKILL");
  });
});

// --- internal ---

function liveSessions(cluster: Cluster): { id: string }[] {
  return JSON.parse(cluster.mezctlOk(["sessions", "ls", "--format=json"]));
}

/** Ids of what runs for the people on the node. */
function programsOf(cluster: Cluster): readonly number[] {
  return descendantsOf(cluster.node?.process.pid as number);
}

function writeRole(cluster: Cluster, logins: readonly string[]): void {
  const file = join(cluster.folder, "door.yaml");
  const spec = { allow: { logins, node_labels: { "*": "*" } } };
  writeFileSync(file, JSON.stringify({ kind: "role", version: "v1", metadata: { name: "door" }, spec }));
  cluster.mezctlOk(["roles", "create", `--from-file=${file}`]);
}
