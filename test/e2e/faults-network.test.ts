import assert from "node:assert/strict";
import { after, before, describe, type TestContext, test } from "node:test";
import { eventually } from "../fixtures/eventually.js";
import { FaultBed, type ProxyName } from "../fixtures/fault-bed.js";
import type { Network } from "../fixtures/network.js";
import { SshSession } from "../fixtures/ssh-session.js";
import { SteadyWriter } from "../fixtures/steady-writer.js";
import { needsPeers } from "../peers/require-peer.js";

const isRoot = process.getuid?.() === 0;
const peers = needsPeers("postgres", "ssh", "ip");

/**
 * Three machines. Here are the database, an auth server and a proxy; there another auth server and another proxy; on the third is
 * the node.
 */
describe("cuts in the network", isRoot ? peers : { skip: "network namespaces need root" }, () => {
  let bed: FaultBed;
  let network: Network;
  let writer: SteadyWriter;
  before(async () => {
    bed = await FaultBed.start({ machines: true });
    network = bed.network as Network;
    writer = SteadyWriter.start(bed.cluster, [`localhost:${bed.cluster.ports.auth}`]);
    await writer.writes();
    for (const proxy of ["first", "second"] as const) await eventually(() => bed.opens(proxy));
  });
  after(async () => {
    await writer?.stop();
    await bed?.stop();
  });

  const person = (name: string) => bed.cluster.person(name, ["--roles=access", `--logins=${bed.cluster.login}`]);
  const open = (proxy: ProxyName, home = bed.cluster.home) =>
    SshSession.open(bed.cluster, bed.target, ["-F", bed.sshConfig(proxy, home)], { home });
  const works = async (t: TestContext, what: string, proxy: ProxyName) => {
    const from = performance.now();
    await eventually(() => bed.opens(proxy));
    t.diagnostic(`${what}, through the ${proxy} proxy: a new session after ${Math.round(performance.now() - from)} ms`);
  };
  const isWhole = async (t: TestContext) => {
    for (const proxy of ["first", "second"] as const) await works(t, "mended", proxy);
    const shown = bed.cluster.mezctlOk(["tokens", "ls", "--format=json"]);
    assert.deepEqual(
      writer.acknowledged.filter((name) => !shown.includes(`"${name}"`)),
      [],
    );
  };

  test("between a proxy and the node: sessions take the way through the other proxy", async (t) => {
    const [near, far] = await Promise.all([open("first"), open("second")]);
    network.cut("node", "there");
    const answered = far.works();
    await near.works();
    network.mend("node", "there");
    await answered;
    // For longer than a session may be without a sign of life, on a machine with much to do.
    network.cut("node", "there");
    await works(t, "cut", "second");
    await works(t, "cut", "first");
    await near.works();
    network.mend("node", "there");
    await isWhole(t);
    await Promise.all([near.close(), far.close()]);
  });

  test("between auth servers and between proxies: who is locked out meanwhile gets in nowhere", async (t) => {
    const home = person("alice");
    const session = await open("first");
    await eventually(() => bed.opens("second", home, "node"));
    network.cut("here", "there");
    bed.cluster.mezctlOk(["locks", "create", "--user=alice"]);
    await eventually(() => !bed.opens("second", home, "node"));
    assert.equal(bed.opens("first", home), false);
    await session.works();
    assert.ok(bed.opens("second", bed.cluster.home, "node"), "others still get in from what that proxy and the node know");
    network.mend("here", "there");
    await isWhole(t);
    assert.equal(bed.opens("second", home, "node"), false);
    await session.close();
  });

  test("between the node and the machine of the database", async (t) => {
    const home = person("bob");
    const sessions = await Promise.all([open("second", home), open("second")]);
    network.cut("node", "here");
    await works(t, "cut", "second");
    await works(t, "cut", "first");
    bed.cluster.mezctlOk(["locks", "create", "--user=bob"]);
    await sessions[0]?.ended();
    await sessions[1]?.works();
    network.mend("node", "here");
    await isWhole(t);
    for (const proxy of ["first", "second"] as const) assert.equal(bed.opens(proxy, home), false);
    await sessions[1]?.close();
  });
});
