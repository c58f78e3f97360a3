import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Cluster } from "../fixtures/cluster.js";
import { eventually } from "../fixtures/eventually.js";
import { needsPeers } from "../peers/require-peer.js";

/** What docs/operations.md says to keep, and how. */
describe("a backup", needsPeers("ssh", "sqlite3", "rsync"), () => {
  let cluster: Cluster;
  let target: string;
  let backup: string;
  let recording: string;
  before(async () => {
    cluster = await Cluster.start({ node: "apart" });
    target = `${cluster.login}@${cluster.nodeName}`;
    backup = join(cluster.folder, "backup");
    mkdirSync(backup);
  });
  after(() => cluster.stop());

  test("is taken while the server works", async () => {
    cluster.mezctlOk(["users", "create", "eve", "--roles=access"]);
    assert.equal(cluster.ssh(["-tt", target, "echo kept for ever"]).code, 0);
    recording = await eventually(() => {
      const rows = JSON.parse(cluster.mezctlOk(["recordings", "ls", "--format=json"])) as Readonly<Record<string, string>>[];
      return rows.find(({ state, command }) => state === "complete" && command?.includes("kept for ever"))?.id;
    });
    const { dataDirectory } = cluster;
    const copied = cluster.run("sqlite3", [
      join(dataDirectory, "mezite.db"),
      "begin; select 1 from sqlite_schema where 0",
      `.backup ${join(backup, "mezite.db")}`,
    ]);
    assert.equal(copied.code, 0, copied.stderr);
    const recordings = cluster.run("rsync", ["-a", join(dataDirectory, "recordings-store"), backup]);
    assert.equal(recordings.code, 0, recordings.stderr);
    cpSync(join(dataDirectory, "ca.key"), join(backup, "ca.key"));
    cluster.mezctlOk(["users", "create", "late", "--roles=access"]);
  });

  test("brings the cluster back on an empty machine, with its nodes, logins, recordings and log", async () => {
    await cluster.server.stop("SIGKILL");
    rmSync(cluster.dataDirectory, { recursive: true });
    mkdirSync(cluster.dataDirectory, { mode: 0o700 });
    const back = cluster.run("rsync", ["-a", "--chmod=D700,F600", `${backup}/`, cluster.dataDirectory]);
    assert.equal(back.code, 0, back.stderr);
    await cluster.startServer();
    await cluster.online(cluster.nodeName);
    await eventually(() => cluster.ssh([target, "true"]).code === 0);

    const users = JSON.parse(cluster.mezctlOk(["users", "list", "--format=json"])) as { name: string }[];
    assert.deepEqual(
      users.map(({ name }) => name),
      ["admin", "eve"],
    );
    const file = join(cluster.folder, "kept.cast");
    cluster.mezctlOk(["recordings", "download", recording, `--out=${file}`]);
    assert.match(readFileSync(file, "utf8"), /kept for ever/);
    assert.equal(cluster.mezctl(["audit", "verify"]).code, 0);
  });
});
