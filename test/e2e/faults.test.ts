import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { RunOptions } from "../fixtures/cluster.js";
import { eventually } from "../fixtures/eventually.js";
import { FaultBed, type ProxyName } from "../fixtures/fault-bed.js";
import { IdentityMachine } from "../fixtures/identity-machine.js";
import { SshSession } from "../fixtures/ssh-session.js";
import { SteadyWriter } from "../fixtures/steady-writer.js";
import { needsPeers } from "../peers/require-peer.js";

describe("faults, with two auth servers, two proxies and a standby", needsPeers("postgres", "ssh"), () => {
  let bed: FaultBed;
  let writer: SteadyWriter;
  before(async () => {
    bed = await FaultBed.start({ standby: true });
    writer = SteadyWriter.start(bed.cluster, bed.authServers);
    await writer.writes();
  });
  after(async () => {
    await writer?.stop();
    await bed?.stop();
  });

  const open = (proxy: ProxyName, home = bed.cluster.home) =>
    SshSession.open(bed.cluster, bed.target, ["-F", bed.sshConfig(proxy, home)], { home });
  const person = (name: string) => bed.cluster.person(name, ["--roles=access", `--logins=${bed.cluster.login}`]);
  /** How long after the lock both sessions of a person have ended, one through each proxy. No new one begins then. */
  const locksOut = async (name: string, sessions: readonly SshSession[], home: string, options: RunOptions = {}) => {
    const { code, stderr } = await bed.cluster.mezctlMeanwhile(["locks", "create", `--user=${name}`], options);
    assert.equal(code, 0, stderr);
    const from = performance.now();
    await Promise.all(sessions.map((session) => session.ended()));
    const tookMs = Math.round(performance.now() - from);
    for (const proxy of ["first", "second"] as const) assert.equal(bed.opens(proxy, home), false);
    return tookMs;
  };
  const works = async (t: TestContext, what: string, proxy: ProxyName = "first") => {
    const from = performance.now();
    await eventually(() => bed.opens(proxy));
    t.diagnostic(`${what}: a new session after ${Math.round(performance.now() - from)} ms`);
  };
  const nothingIsLost = (servers = [{}, bed.there]) => {
    for (const env of servers) {
      const shown = bed.cluster.mezctlOk(["tokens", "ls", "--format=json"], { env });
      assert.deepEqual(
        writer.acknowledged.filter((name) => !shown.includes(`"${name}"`)),
        [],
      );
    }
  };

  const stage = () => join(bed.cluster.dataDirectory, "recordings-s3");
  const readStaged = (id: string) => readFileSync(join(stage(), `${id}.part`), "utf8");
  const stagedAtFirst = () =>
    readdirSync(stage())
      .filter((name) => name.endsWith(".part"))
      .map((name) => name.slice(0, -".part".length));

  test("an auth server is killed", async (t) => {
    const home = person("alice");
    const sessions = await Promise.all([open("first", home), open("second", home)]);
    const recorded = await open("first");
    recorded.type("echo before-$((40 + 2))");
    const id = await eventually(() => stagedAtFirst().find((name) => readStaged(name).includes("before-42")));
    await bed.cluster.server.stop("SIGKILL");
    t.diagnostic(`a change through the other one after ${await writer.writes()} ms`);
    await works(t, "meanwhile");
    t.diagnostic(`locked out after ${await locksOut("alice", sessions, home, { env: bed.there })} ms`);
    recorded.type("echo after-$((40 + 3))");
    await recorded.works();
    await recorded.close();
    const isWhole = (env = {}) =>
      /before-42.*after-43/s.test(bed.cluster.mezctl(["recordings", "download", id, "--out=-"], { env }).stdout);
    await eventually(() => isWhole(bed.there));
    await bed.cluster.startServer();
    await works(t, "after it is back");
    nothingIsLost();
    assert.ok(isWhole(), "the part that it holds is not taken for the whole");
    await eventually(() => !stagedAtFirst().includes(id));
  });

  test("an auth server has committed the renewal of an identity, and is killed before the answer arrives", async () => {
    IdentityMachine.createRole(bed.cluster);
    const way = await bed.linkToAuth();
    const machine = new IdentityMachine(bed.cluster, "robot", `localhost:${way.port},${bed.authServers[1]}`);
    const daemon = machine.start(["--renewal-interval=1m"], IdentityMachine.create(bed.cluster, "robot"));
    await daemon.printed(/"msg":"ready"/);
    const asked = (...args: readonly string[]) =>
      JSON.parse(bed.cluster.mezctlOk([...args, "--format=json"], { env: bed.there }));
    const shown = (): ShownIdentity => asked("agent-identities", "status", "robot");
    // Some seconds after it joined it says that its certificate is in use, on the connection that the renewal takes as well.
    const [joined] = asked("audit", "ls", "--type=agent_identity.bootstrapped") as readonly { readonly timestamp: string }[];
    await eventually(() => Date.parse(shown().instances[0]?.last_seen ?? "") - Date.parse(joined?.timestamp ?? "") > 1000);
    const before = machine.generation;
    way.become({ losesAnswers: true });
    daemon.process.kill("SIGHUP");
    await eventually(() => shown().generation === before + 1);
    await bed.cluster.server.stop("SIGKILL");
    assert.equal(machine.generation, before);
    await eventually(() => machine.generation > before);
    daemon.process.kill("SIGHUP");
    await eventually(() => machine.generation > before + 1);
    assert.equal(shown().status, "active");
    assert.equal(
      bed.cluster.mezctlOk(["audit", "ls", "--type=agent_identity.copied", "--format=json"], { env: bed.there }).trim(),
      "[]",
    );
    assert.equal(await daemon.stop("SIGTERM"), 0);
    await bed.cluster.startServer();
    nothingIsLost();
  });

  test("an auth server is cut from the database, and the other one is not", async (t) => {
    const home = person("carl");
    const sessions = await Promise.all([open("first", home), open("second", home)]);
    // The one that proxies and node follow, since the first has been away.
    bed.database({ isCut: true }, ["second"]);
    await delay(100);
    t.diagnostic(`a change through the other one after ${await writer.writes()} ms`);
    for (const proxy of ["first", "second"] as const) await works(t, "meanwhile", proxy);
    for (const session of sessions) await session.works();
    t.diagnostic(`locked out after ${await locksOut("carl", sessions, home)} ms`);
    await eventually(() => bed.cluster.mezctl(["nodes", "ls"], { env: bed.there }).code === 7);
    bed.database({}, ["second"]);
    await eventually(() => bed.cluster.mezctl(["nodes", "ls"], { env: bed.there }).code === 0);
    assert.match(bed.cluster.mezctlOk(["locks", "list"], { env: bed.there }), /carl/);
    nothingIsLost();
  });

  test("an auth server hangs", async (t) => {
    const home = person("bob");
    const sessions = await Promise.all([open("first", home), open("second", home)]);
    bed.second.daemon.process.kill("SIGSTOP");
    t.diagnostic(`a change through the other one after ${await writer.writes()} ms`);
    await works(t, "meanwhile");
    t.diagnostic(`locked out after ${await locksOut("bob", sessions, home)} ms`);
    await works(t, "once all have moved");
    bed.second.daemon.process.kill("SIGCONT");
    await eventually(() => bed.cluster.mezctl(["locks", "list"], { env: bed.there }).stdout.includes("bob"));
    nothingIsLost();
  });

  test("a proxy is killed", async (t) => {
    const session = await open("second");
    await bed.cluster.proxy?.stop("SIGKILL");
    await session.works();
    await works(t, "through the other one", "second");
    await bed.cluster.startProxy();
    await works(t, "after it is back");
    await session.works();
    await session.close();
  });

  test("the database is slow, and then silent", async (t) => {
    const home = person("dora");
    const sessions = await Promise.all([open("first", home), open("second", home)]);
    bed.database({ delayMs: 100 });
    t.diagnostic(`a change with a database of 200 ms after ${await writer.writes()} ms`);
    await works(t, "meanwhile");
    bed.database({ isCut: true });
    // From 5 s on a server that does not hear its database answers no call.
    await delay(6000);
    const refusal = await bed.cluster.mezctlMeanwhile(["locks", "create", "--user=dora"], {});
    assert.notEqual(refusal.code, 0);
    await works(t, "from what proxies and nodes know");
    for (const session of sessions) await session.works();
    bed.database({});
    t.diagnostic(`a change after ${await writer.writes()} ms`);
    await works(t, "afterwards");
    t.diagnostic(`locked out after ${await locksOut("dora", sessions, home)} ms`);
    nothingIsLost();
  });

  test("clocks of an auth server and of a proxy are a minute off, one before and one behind", async (t) => {
    const [auth, proxy] = [bed.cluster.server, bed.cluster.proxy];
    assert.ok(proxy);
    for (const [name, seconds] of [
      ["frida", 60],
      ["gustav", -60],
    ] as const) {
      const home = person(name);
      const sessions = await Promise.all([open("first", home), open("second", home)]);
      await bed.stepClock(auth, seconds);
      await bed.stepClock(proxy, -seconds);
      await works(t, `${seconds} s off`);
      for (const session of sessions) await session.works();
      t.diagnostic(`locked out after ${await locksOut(name, sessions, home)} ms`);
      for (const daemon of [auth, proxy]) await bed.stepClock(daemon, 0);
      await works(t, "right again");
    }
  });

  test("who logs in at an auth server whose clock is a minute ahead or behind gets in at once", async () => {
    const auth = bed.cluster.server;
    for (const [name, seconds] of [
      ["hilda", 60],
      ["ivo", -60],
    ] as const) {
      await bed.stepClock(auth, seconds);
      const home = person(name);
      for (const proxy of ["first", "second"] as const) assert.ok(bed.opens(proxy, home));
      await bed.stepClock(auth, 0);
    }
  });

  test("the primary of the database is killed, and its standby promoted", async (t) => {
    const home = person("eve");
    const sessions = await Promise.all([open("first", home), open("second", home)]);
    await bed.primary.kill("SIGKILL");
    await works(t, "without a database");
    bed.promoteStandby();
    t.diagnostic(`a change after ${await writer.writes()} ms`);
    await works(t, "afterwards");
    for (const session of sessions) await session.works();
    t.diagnostic(`locked out after ${await locksOut("eve", sessions, home)} ms`);
    nothingIsLost();
    assert.match(bed.cluster.mezctlOk(["audit", "verify"]), /Intact: +yes/);
  });

  // The last one: it ends with one auth server.
  test("a newer release has changed the tables: the older servers answer no more, and do not start again", async (t) => {
    const session = await open("first");
    bed.sql(
      `insert into migrations_users (name) values ('${NEWER}'); update outbox_head set schema_changes = schema_changes + 1`,
    );
    for (const env of [{}, bed.there])
      await eventually(() => {
        const { code, stderr } = bed.cluster.mezctl(["nodes", "ls"], { env });
        return code === 7 && /too old for its database/.test(stderr);
      });
    await session.works();
    await works(t, "from what proxies and nodes know");
    await bed.cluster.server.stop("SIGTERM");
    const { code, stderr } = bed.cluster.mezd(["auth", `--config=${bed.cluster.configFile}`]);
    assert.equal(code, 9);
    assert.match(stderr, /plugin "users" does not know its migration "999-newer"; start that version, or restore a backup/);
    bed.sql(`delete from migrations_users where name = '${NEWER}'`);
    await bed.cluster.startServer();
    nothingIsLost([{}]);
    await session.close();
  });
});

// --- internal ---

interface ShownIdentity {
  readonly status: string;
  readonly generation: number;
  readonly instances: readonly { readonly last_seen: string }[];
}

const NEWER = "999-newer";
