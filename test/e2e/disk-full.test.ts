import assert from "node:assert/strict";
import { cpSync, mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Cluster } from "../fixtures/cluster.js";
import { eventually } from "../fixtures/eventually.js";
import { needsSmallDisk, SmallDisk } from "../fixtures/small-disk.js";
import { SshSession } from "../fixtures/ssh-session.js";
import { needsPeers } from "../peers/require-peer.js";

const MIB = 1024 * 1024;
const NEEDED = [needsPeers("ssh"), needsSmallDisk()].find(({ skip }) => skip !== false) ?? { skip: false };

describe("a node whose disk for recordings is full", NEEDED, () => {
  let cluster: Cluster;
  const disks: SmallDisk[] = [];
  before(async () => {
    cluster = await Cluster.start({ node: "apart" });
    await cluster.startNode("web-02");
    await eventually(() => recordings(cluster).length >= 2 && recordings(cluster).every(({ state }) => state === "complete"));
    for (const name of ["web-01", "web-02"]) disks.push(new SmallDisk(join(cluster.folder, name, "recordings"), MIB));
  });
  after(async () => {
    for (const disk of disks) disk.unmount();
    await cluster?.stop();
  });

  test("ends a session in the middle with a line that says why, and keeps what was recorded", async () => {
    const session = await SshSession.open(cluster, `${cluster.login}@web-01`, ["-tt"]);
    session.type("echo recorded-$((40 + 2)); head -c 3000000 /dev/zero | base64; echo not-reached-$((40 + 2))");
    assert.equal(await session.ended(), 255);
    assert.match(`${session.output}${session.errors}`, /the session can no longer be recorded: .*the disk is full/);
    assert.doesNotMatch(session.output, /not-reached-42/);
    const event = await eventually(() => failures(cluster, "web-01")[0]);
    assert.equal(event.success, false);
    assert.match(event.error_message, /disk is full/);
    const kept = await eventually(() =>
      recordings(cluster).find(({ id, state }) => id === event.session_id && state !== "recording"),
    );
    assert.match(cluster.mshOk(["play", kept.id]), /recorded-42/);
    await eventually(() => disks[0]?.isEmpty);
  });

  for (const [kind, flags] of [
    ["with a terminal", ["-tt"]],
    ["of a command", []],
  ] as const) {
    test(`begins no session ${kind}, until there is space again`, async () => {
      const [disk] = disks as [SmallDisk];
      await eventually(() => disk.isEmpty);
      disk.fill();
      try {
        const { code, stdout, stderr } = cluster.ssh([...flags, `${cluster.login}@web-01`, "echo it ran"]);
        assert.notEqual(code, 0);
        assert.match(`${stdout}${stderr}`, /this session cannot be recorded, so it does not begin: .*the disk is full/);
        assert.doesNotMatch(stdout, /it ran/);
      } finally {
        disk.empty();
      }
      assert.equal(cluster.ssh([...flags, `${cluster.login}@web-01`, "exit 4"]).code, 4);
    });
  }

  test("goes on when recording_policy is best_effort, tells the person, and the audit log", async (t) => {
    cluster.mezctlOk(["config", "set", "recording_policy", "best_effort"]);
    t.after(() => cluster.mezctlOk(["config", "unset", "recording_policy"]));
    const session = await SshSession.open(cluster, `${cluster.login}@web-02`, ["-tt"]);
    session.type("head -c 3000000 /dev/zero | base64");
    await session.printed(/this session is no longer recorded: .*the disk is full/);
    await session.works();
    await session.close();
    const event = await eventually(() => failures(cluster, "web-02")[0]);
    assert.equal(event.metadata.sessionGoesOn, true);
    assert.equal(cluster.mezctl(["audit", "verify"]).code, 0);
  });
});

describe("a server whose disk is full", needsSmallDisk(), () => {
  let cluster: Cluster;
  let disk: SmallDisk;
  before(async () => {
    cluster = await Cluster.start({ node: "none" });
    await cluster.server.stop();
    const old = `${cluster.dataDirectory}.old`;
    renameSync(cluster.dataDirectory, old);
    mkdirSync(cluster.dataDirectory, { mode: 0o700 });
    disk = new SmallDisk(cluster.dataDirectory, 16 * MIB);
    cpSync(old, cluster.dataDirectory, { recursive: true, preserveTimestamps: true });
    await cluster.startServer();
  });
  after(async () => {
    await cluster?.server.stop();
    disk?.unmount();
    await cluster?.stop();
  });

  test("says so in one line, loses nothing that was acknowledged, and works when there is space again", async () => {
    disk.fill(64 * 1024);
    const acknowledged: string[] = [];
    let refusal = "";
    for (let index = 0; index < 60 && refusal === ""; index += 1) {
      const { code, stderr } = cluster.mezctl(["users", "create", `user-${index}`, "--roles=access"]);
      if (code === 0) acknowledged.push(`user-${index}`);
      else refusal = stderr;
    }
    assert.match(refusal, /^mezctl: the disk with the database is full\n/);
    assert.equal(cluster.mezctl(["users", "list"]).code, 0, "what only reads goes on");
    disk.empty();
    await eventually(() => {
      const { code } = cluster.mezctl(["users", "create", "afterwards", "--roles=access"]);
      return code === 0;
    });
    acknowledged.push("afterwards");
    await cluster.server.stop("SIGKILL");
    await cluster.startServer();
    const users = JSON.parse(cluster.mezctlOk(["users", "list", "--format=json"])) as { name: string }[];
    const known = new Set(users.map(({ name }) => name));
    assert.deepEqual(
      acknowledged.filter((name) => !known.has(name)),
      [],
    );
    assert.equal(cluster.mezctl(["audit", "verify"]).code, 0);
  });
});

// --- internal ---

function recordings(cluster: Cluster): { id: string; state: string }[] {
  return JSON.parse(cluster.mezctlOk(["recordings", "ls", "--format=json"]));
}

interface FailureEvent {
  readonly session_id: string;
  readonly success: boolean;
  readonly error_message: string;
  readonly resource_name: string;
  readonly metadata: { readonly sessionGoesOn: boolean };
}

function failures(cluster: Cluster, node: string): FailureEvent[] {
  const answer = cluster.mezctlOk(["audit", "ls", "--type=session.recording.failed", "--format=json"]);
  return (JSON.parse(answer) as FailureEvent[]).filter(({ resource_name }) => resource_name === node);
}
