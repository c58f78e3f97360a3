import assert from "node:assert/strict";
import { cpSync, existsSync, readdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Cluster } from "../fixtures/cluster.js";
import { eventually } from "../fixtures/eventually.js";
import { projectFile } from "../fixtures/project-file.js";
import { SshSession } from "../fixtures/ssh-session.js";
import { needsPeers } from "../peers/require-peer.js";

describe("plugins in processes of their own", needsPeers("ssh"), () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await Cluster.start();
    cpSync(fileURLToPath(projectFile("test/fixtures/packages/file-recordings")), join(cluster.folder, "tape"), {
      recursive: true,
    });
  });
  after(() => cluster.stop());

  test("take the place of the built-in recording store, and survive the end of the process", async () => {
    cluster.mezctlOk(["plugins", "add", "path:tape"]);
    assert.deepEqual([stateOf("recording.file").state, stateOf("recording.local").state], ["on", "off"]);
    const session = await SshSession.open(cluster, `${cluster.login}@${cluster.nodeName}`, ["-tt"]);
    session.type("echo before the e''nd");
    await session.printed(/before the end/);
    const id = await session.id();
    const pid = childOf(cluster);
    process.kill(pid, "SIGKILL");
    session.type("echo after the e''nd");
    await session.printed(/after the end/);
    await session.close();
    await eventually(() => /restart/.test(stateOf("recording.file").health ?? ""));
    const played = await eventually(() => {
      const { stdout } = cluster.msh(["play", id]);
      return /after the end/.test(stdout) ? stdout : null;
    });
    assert.match(played, /before the end/);
    assert.ok(readdirSync(join(cluster.dataDirectory, "plugin-data/recording.file")).length > 0);
  });

  test("end with the server, also when that is killed", async () => {
    const pid = childOf(cluster);
    await cluster.server.stop("SIGKILL");
    await eventually(() => !existsSync(`/proc/${pid}`));
    await cluster.startServer();
    assert.notEqual(childOf(cluster), pid);
  });

  test("come, fail and go in a running server", async () => {
    const fixture = fileURLToPath(projectFile("test/fixtures/packages/ledger-integration"));
    cpSync(fixture, join(cluster.folder, "ledger"), { recursive: true });
    const plan = (book: string) => cluster.mezctl(["integrations", "plan", "ledger", `--set=book=${book}`]);
    cluster.mezctlOk(["plugins", "add", "path:ledger"]);
    assert.match(plan("main").stdout, /^\{"book":"main","issuer":null,.*\}\nEND\nledger trust --policy=ledger-trust\.json$/m);
    assert.match(plan("dies").stderr, /integration\.ledger/);
    await eventually(() => plan("main").code === 0);
    cluster.mezctlOk(["plugins", "rm", "integration.ledger"]);
    assert.match(plan("main").stderr, /has no integration "ledger"; it has aws-oidc/);
  });

  function stateOf(id: string): { state: string; health?: string } {
    const rows = JSON.parse(cluster.mezctlOk(["plugins", "ls", "--format=json"])) as {
      id: string;
      state: string;
      health?: string;
    }[];
    return rows.find((row) => row.id === id) as { state: string; health?: string };
  }
});

// --- internal ---

/** The process that the server started for the plugin: the one that runs from a copy in its data directory. */
function childOf({ dataDirectory }: Cluster): number {
  const folder = realpathSync(dataDirectory);
  const found = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && currentFolderOf(name).startsWith(folder));
  assert.equal(found.length, 1);
  return Number(found[0]);
}

function currentFolderOf(pid: string): string {
  try {
    return realpathSync(`/proc/${pid}/cwd`);
  } catch {
    return "";
  }
}
