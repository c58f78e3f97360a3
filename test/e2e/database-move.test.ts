import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Cluster } from "../fixtures/cluster.js";
import { databaseSection } from "../fixtures/second-auth-server.js";
import { RunningPostgresql } from "../peers/postgresql.js";
import { needsPeers } from "../peers/require-peer.js";

describe("moving the database of a cluster", needsPeers("postgres", "ssh"), () => {
  let server: RunningPostgresql;
  let cluster: Cluster;
  let target: string;
  before(async () => {
    server = await RunningPostgresql.start();
    cluster = await Cluster.start();
    target = `${cluster.login}@${cluster.nodeName}`;
    cluster.ssh([target, "echo recorded"]);
    cluster.mezctlOk(["locks", "create", "--role=auditor", "--message=naïve 'quotes' \\"]);
  });
  after(async () => {
    await cluster?.stop();
    await server?.close();
  });

  /** The config file of the cluster with another section `database`. */
  function withDatabase(name: string, database: Readonly<Record<string, unknown>>): string {
    const file = join(cluster.folder, `${name}.yaml`);
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(cluster.configFile, "utf8")), database }));
    return file;
  }
  const move = (to: string, from = cluster.configFile) =>
    cluster.mezd(["database", "move", `--config=${from}`, `--to=${to}`], { env: { MEZITE_DEBUG: "1" } });
  const lists = () =>
    [
      ["users", "ls"],
      ["locks", "ls"],
      ["roles", "ls"],
      ["recordings", "ls"],
    ].map((args) => cluster.mezctlOk([...args, "--format=json"]));
  async function startWith(file: string): Promise<void> {
    writeFileSync(cluster.configFile, readFileSync(file));
    await cluster.startServer();
  }

  test("is refused while a server runs", () => {
    const refused = move(withDatabase("busy", databaseSection(server.database())));
    assert.equal(refused.code, 9, refused.stderr);
    assert.match(refused.stderr, /in use by another mezd/);
  });

  test("to PostgreSQL and back keeps every row, the audit chain and the certificates", async () => {
    const before = lists();
    await cluster.server.stop();
    const there = withDatabase("there", databaseSection(server.database()));
    const moved = move(there);
    assert.equal(moved.code, 0, moved.stderr);
    assert.match(moved.stdout, /\d+ {2}audit_events\n/);
    assert.match(moved.stdout, /rows are copied, and the same in both/);
    const again = move(there);
    assert.equal(again.code, 6, again.stderr);
    assert.match(again.stderr, /is not empty/);

    await startWith(there);
    assert.deepEqual(lists(), before);
    assert.match(cluster.mezctlOk(["audit", "verify"]), /Intact: +yes/);
    assert.match(cluster.mezctlOk(["audit", "ls", "--type=database.moved", "--format=json"]), /mezite\.db/);
    await cluster.online(cluster.nodeName);
    const later = lists();

    await cluster.server.stop("SIGKILL");
    const back = withDatabase("back", { driver: "sqlite", path: "new.db" });
    const returned = move(back);
    assert.equal(returned.code, 0, returned.stderr);
    await startWith(back);
    assert.deepEqual(lists(), later);
    assert.match(cluster.mezctlOk(["audit", "verify"]), /Intact: +yes/);
  });
});
