import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Cluster } from "../fixtures/cluster.js";
import { ended } from "../fixtures/ended.js";
import { eventually } from "../fixtures/eventually.js";
import { projectFile } from "../fixtures/project-file.js";

describe("a server whose disk does not take what is flushed to it", () => {
  let cluster: Cluster;
  before(async () => {
    const failing = `--import=${projectFile("test/fixtures/failing-disk.mjs").href}`;
    cluster = await Cluster.start({ node: "none", env: { NODE_OPTIONS: failing } });
  });
  after(() => cluster?.stop());

  test("ends, says why, and after a new start has all that was acknowledged", async () => {
    const create = (name: string) => cluster.mezctl(["users", "create", name, "--roles=access"]);
    assert.equal(create("before").code, 0);
    cluster.server.process.kill("SIGUSR2");
    const refused = await eventually(() => {
      const answer = create(`during-${Date.now()}`);
      return answer.code !== 0 && answer;
    });
    assert.match(refused.stderr, /the disk did not take what was written to the database/);
    assert.equal(await ended(cluster.server.process), 9);
    await cluster.server.printed(/the database is not served any more, and this process ends/);
    await cluster.server.printed(/mezd: the disk did not take what was written to the database.*i\/o error/);

    await cluster.startServer();
    const users = JSON.parse(cluster.mezctlOk(["users", "list", "--format=json"])) as { name: string }[];
    assert.ok(users.some(({ name }) => name === "before"));
    assert.equal(create("afterwards").code, 0);
    assert.equal(cluster.mezctl(["audit", "verify"]).code, 0);
  });
});
