import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Cluster, type Finished } from "../fixtures/cluster.js";
import { eventually } from "../fixtures/eventually.js";
import { SshSession } from "../fixtures/ssh-session.js";
import { Sshd } from "../fixtures/sshd.js";
import { needsPeers } from "../peers/require-peer.js";

const SETTINGS = ["session_idle_timeout", "max_sessions_per_user", "recording_mode", "recording_policy"];

describe("settings of sessions hold without a restart", needsPeers("ssh"), () => {
  let cluster: Cluster;
  let target: string;
  let home: string;
  before(async () => {
    cluster = await Cluster.start({ node: "apart" });
    target = `${cluster.login}@${cluster.nodeName}`;
    home = cluster.person("alice", ["--roles=access", `--logins=${cluster.login}`]);
  });
  after(() => cluster.stop());
  afterEach(() => {
    for (const key of SETTINGS) cluster.mezctlOk(["config", "unset", key]);
  });

  test("an idle session ends with a message, also one that sends keepalives; those that are used either way go on", async () => {
    const idle = await SshSession.open(cluster, target, ["-tt", "-o", "ServerAliveInterval=1"], { home });
    const typing = await SshSession.open(cluster, target, [], { home });
    const showing = await SshSession.open(cluster, target, [], { home });
    typing.type("cat > /dev/null");
    showing.type("while sleep 1; do echo shown; done");
    cluster.mezctlOk(["config", "set", "session_idle_timeout", "10s"]);
    const keys = setInterval(() => typing.type("typed"), 1000);
    try {
      assert.equal(await idle.ended(), 255);
      assert.match(`${idle.output}${idle.errors}`, /session ended: nothing was sent for 10s, and idle sessions end after that/);
      await delay(5_000); // what the proxy or the node took for idle would be over by then
      assert.ok(typing.isOpen && showing.isOpen);
    } finally {
      clearInterval(keys);
      await typing.close();
      await showing.close();
    }
    await eventually(() => events("session.end").find(({ metadata }) => /nothing was sent/.test(String(metadata["reason"]))));
  });

  test("of sessions that begin at once, as many begin as max_sessions_per_user allows; the others are told why", async () => {
    await eventually(() => live().length === 0);
    cluster.mezctlOk(["config", "set", "max_sessions_per_user", "2"]);
    const end = join(cluster.folder, "may-end");
    const { refused, admitted } = await refusals(
      3,
      Array.from({ length: 5 }, () => run(untilThereIs(end))),
    );
    writeFileSync(end, "");
    assert.deepEqual(
      (await admitted).map(({ stdout }) => stdout),
      ["in\nout\n", "in\nout\n"],
    );
    for (const { code, stdout, stderr } of refused) {
      assert.notEqual(code, 0);
      assert.equal(stdout, "", "a refused session runs nothing");
      assert.match(stderr, /alice has 2 sessions, and 2 at once are allowed; end one first/);
    }
    await eventually(() => events("access.denied").length === 3);
    await eventually(async () => (await run("true")).code === 0);
  });

  test("recording_mode off records nothing, and the audit log has the session", async () => {
    cluster.mezctlOk(["config", "set", "recording_mode", "off"]);
    assert.equal((await run("echo unrecorded")).code, 0);
    const command = await eventually(() =>
      events("session.exec").find(({ metadata }) => metadata["command"] === "echo unrecorded"),
    );
    cluster.mezctlOk(["config", "unset", "recording_mode"]);
    assert.equal((await run("echo recorded")).code, 0);
    const recordings = await eventually(() => {
      const found = JSON.parse(cluster.mezctlOk(["recordings", "ls", "--user=alice", "--format=json"])) as {
        id: string;
        command: string;
      }[];
      return found.some((recording) => JSON.stringify(recording).includes("echo recorded")) ? found : undefined;
    });
    assert.ok(!JSON.stringify(recordings).includes(command.session_id));
  });

  test("recording_mode proxy closes nodes with an agent, unless best effort will do", async () => {
    cluster.mezctlOk(["config", "set", "recording_mode", "proxy"]);
    const { code, stderr } = await eventually(async () => {
      const refused = await run("true");
      return refused.code === 0 ? undefined : refused;
    });
    assert.equal(code, 255);
    assert.match(stderr, /sessions are recorded by proxies \(recording_mode\)/);
    cluster.mezctlOk(["config", "set", "recording_policy", "best_effort"]);
    await eventually(async () => (await run("true")).code === 0);
  });

  interface ShownEvent {
    readonly session_id: string;
    readonly metadata: Readonly<Record<string, unknown>>;
  }

  function events(type: string): readonly ShownEvent[] {
    return JSON.parse(cluster.mezctlOk(["audit", "ls", `--type=${type}`, "--user=alice", "--format=json"])) as ShownEvent[];
  }

  function live(): readonly unknown[] {
    return JSON.parse(cluster.mezctlOk(["sessions", "ls", "--format=json"])) as unknown[];
  }

  function run(command: string) {
    return cluster.sshMeanwhile([target, command], { home });
  }
});

describe("settings of sessions hold for nodes without an agent", needsPeers("ssh", "sshd", "ssh-keygen"), () => {
  let cluster: Cluster;
  let sshd: Sshd;
  let target: string;
  let home: string;
  before(async () => {
    cluster = await Cluster.start({ node: "none" });
    sshd = await Sshd.start(cluster.mezctlOk(["ca", "export", "--type=user"]));
    target = `${sshd.login}@db-01`;
    const place = ["--name=db-01", "--host=127.0.0.1", `--port=${sshd.port}`, `--host-key-file=${sshd.path("host.pub")}`];
    cluster.mezctlOk(["nodes", "add", "--openssh", ...place]);
    home = cluster.person("alice", ["--roles=access", `--logins=${sshd.login}`]);
  });
  after(async () => {
    await cluster?.stop();
    await sshd?.stop();
  });
  afterEach(() => {
    for (const key of SETTINGS) cluster.mezctlOk(["config", "unset", key]);
  });

  test("an idle session ends with a message, and one that is used goes on", async () => {
    const idle = await SshSession.open(cluster, target, ["-o", "ServerAliveInterval=1"], { home });
    const used = await SshSession.open(cluster, target, [], { home });
    used.type("while sleep 1; do echo shown; done");
    cluster.mezctlOk(["config", "set", "session_idle_timeout", "10s"]);
    try {
      assert.equal(await idle.ended(), 255);
      assert.match(idle.errors, /session ended: nothing was sent for 10s/);
      assert.ok(used.isOpen);
    } finally {
      await used.close();
    }
  });

  test("a session that is one too many is told so, and runs nothing", async () => {
    await eventually(() => cluster.mezctlOk(["sessions", "ls", "--format=json"]).trim() === "[]");
    cluster.mezctlOk(["config", "set", "max_sessions_per_user", "1"]);
    const end = join(cluster.folder, "may-end");
    const both = [1, 2].map(() => cluster.sshMeanwhile([target, untilThereIs(end)], { home }));
    const { refused, admitted } = await refusals(1, both);
    writeFileSync(end, "");
    assert.deepEqual(
      [...refused, ...(await admitted)].map(({ stdout }) => stdout),
      ["", "in\nout\n"],
    );
    assert.match(refused[0]?.stderr ?? "", /alice has 1 session, and 1 at once is allowed/);
  });

  for (const [mode, isRecorded] of [
    ["node", true],
    ["proxy", true],
    ["off", false],
  ] as const) {
    test(`recording_mode ${mode}: ${isRecorded ? "recorded by the proxy" : "not recorded"}`, async () => {
      cluster.mezctlOk(["config", "set", "recording_mode", mode]);
      assert.equal((await cluster.sshMeanwhile([target, `echo in mode ${mode}`], { home })).code, 0);
      await eventually(() => cluster.mezctlOk(["audit", "ls", "--type=session.exec", "--format=json"]).includes(`mode ${mode}`));
      const found = () => cluster.mezctlOk(["recordings", "ls", "--format=json"]).includes(`mode ${mode}`);
      if (isRecorded) await eventually(found);
      else assert.equal(found(), false);
    });
  }
});

// --- internal ---

/** A command that says when it begins, stays as long as there is no such file, and says when it ends. */
function untilThereIs(file: string): string {
  return `echo in; while [ ! -e '${file}' ]; do sleep 0.1; done; echo out`;
}

/** Waits for as many sessions to be refused while the others stay. */
async function refusals(count: number, sessions: readonly Promise<Finished>[]) {
  const refused: Finished[] = [];
  const admitted: Finished[] = [];
  const all = sessions.map(async (session) => {
    const finished = await session;
    (finished.code === 0 ? admitted : refused).push(finished);
  });
  await eventually(() => refused.length === count);
  return { refused, admitted: Promise.all(all).then(() => admitted) };
}
