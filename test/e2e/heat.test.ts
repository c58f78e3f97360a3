import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Cluster } from "../fixtures/cluster.js";
import { Heat } from "../fixtures/heat.js";
import { needsPeers } from "../peers/require-peer.js";

const RELOADS = 20;
const SESSIONS = 5;

describe("packages that are replaced while sessions are open and calls come in", needsPeers("ssh"), () => {
  let cluster: Cluster;
  let heat: Heat;
  before(async () => {
    cluster = await Cluster.start({ node: "apart" });
    heat = new Heat(cluster);
    await heat.openSessions(SESSIONS);
  });
  after(async () => {
    await heat?.close();
    await cluster.stop();
  });

  for (const [id, isolation] of [
    ["together", "none"],
    ["apart", "process"],
  ] as const) {
    test(`${RELOADS} times, isolation ${isolation}: no session ends and no call fails`, async () => {
      heat.add(id, isolation, 1000);
      const { calls, failures } = await heat.reload(id, RELOADS);
      assert.deepEqual(failures, []);
      assert.ok(calls > 0);
      assert.equal(await heat.sessionsWork(), SESSIONS);
      const shown = JSON.parse(cluster.mezctlOk(["plugins", "inspect", id, "--format=json"])) as { starts: number };
      assert.equal(shown.starts, RELOADS + 1);
      assert.doesNotMatch(cluster.server.output, /"level":50/);
      cluster.mezctlOk(["plugins", "rm", id]);
    });
  }
});
