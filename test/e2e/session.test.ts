import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import { type IPty, spawn } from "@lydell/node-pty";
import { Cluster } from "../fixtures/cluster.js";
import { eventually } from "../fixtures/eventually.js";
import { needsPeers, requirePeer } from "../peers/require-peer.js";

const CLIENTS = needsPeers("ssh", "scp", "sftp", "rsync", "git");

describe("an unmodified OpenSSH client", CLIENTS, () => {
  let cluster: Cluster;
  let target: string;
  let folder: string;
  before(async () => {
    cluster = await Cluster.start({ node: "apart" });
    target = `${cluster.login}@${cluster.nodeName}`;
    folder = mkdtempSync(join(cluster.folder, "work-"));
  });
  after(() => cluster.stop());

  for (const code of [0, 1, 42, 255]) {
    test(`passes exit code ${code} on`, () => assert.equal(cluster.ssh([target, `exit ${code}`]).code, code));
  }

  test("keeps standard output and standard error apart, and closes standard input", () => {
    const result = cluster.ssh([target, "cat; echo problem >&2"], { input: "from here\n" });
    assert.deepEqual([result.code, result.stdout, result.stderr], [0, "from here\n", "problem\n"]);
  });

  test("gets a terminal of its own", () => {
    const { code, stdout } = cluster.ssh(["-tt", target, "test -t 0 && tty && stty size"]);
    assert.equal(code, 0);
    assert.match(stdout, /\/dev\/pts\/\d+\r?\n\d+ \d+/);
  });

  test("its terminal follows the size of the window", async (t) => {
    const { terminal, printed } = onTerminal(t, "trap 'stty size' WINCH; stty size; while :; do sleep 0.1; done");
    await printed(/24 80/);
    terminal.resize(132, 43);
    await printed(/43 132/);
  });

  test("keys that make signals reach the program, and end it alone", async (t) => {
    const { terminal, printed } = onTerminal(t, "trap 'echo interrupted' INT; echo ready; sleep 60; exec cat");
    await printed(/ready/);
    terminal.write("\x03");
    await printed(/interrupted/);
    terminal.write("still here\r");
    await printed(/still here\r\nstill here/);
    terminal.write("\x1c"); // Ctrl-\\: SIGQUIT, of which cat dies
    await printed(/Connection to \S+ closed/);
  });

  test("passes on LANG and LC_*, and no other variable", () => {
    const env = { LANG: "C.UTF-8", LC_TEST: "kept", LD_PRELOAD_X: "dropped", MEZITE_X: "dropped" };
    const { stdout } = cluster.ssh(["-o", "SendEnv=LANG LC_* LD_PRELOAD_X MEZITE_X", target, "env"], { env });
    assert.match(stdout, /^LANG=C\.UTF-8$/m);
    assert.match(stdout, /^LC_TEST=kept$/m);
    assert.doesNotMatch(stdout, /dropped/);
    assert.match(stdout, /^MEZITE_SESSION_ID=[0-9a-f-]{36}$/m);
  });

  for (const [name, flags] of [
    ["its default protocol", []],
    ["the old protocol", ["-O"]],
  ] as const) {
    test(`scp copies both ways with ${name}, every byte`, () => {
      const here = join(folder, `here${flags.join("")}`);
      writeFileSync(here, randomBytes(3_000_000));
      const there = `${here}.there`;
      assert.equal(cluster.ssh([...flags, here, `${target}:${there}`], { program: "scp" }).code, 0);
      assert.equal(cluster.ssh([...flags, `${target}:${there}`, `${here}.back`], { program: "scp" }).code, 0);
      assert.equal(hashOf(`${here}.back`), hashOf(here));
    });
  }

  test("sftp, rsync and git work", () => {
    writeFileSync(join(folder, "a.txt"), "a\n");
    const batch = cluster.ssh(["-b", "-", target], {
      program: "sftp",
      input: `put ${join(folder, "a.txt")} ${join(folder, "by-sftp.txt")}\n`,
    });
    assert.equal(batch.code, 0, batch.stderr);
    assert.equal(readFileSync(join(folder, "by-sftp.txt"), "utf8"), "a\n");

    const ssh = `ssh -F ${cluster.sshConfig()}`;
    const rsync = cluster.run("rsync", [
      "-a",
      "-e",
      ssh,
      `${join(folder, "a.txt")}`,
      `${target}:${join(folder, "by-rsync.txt")}`,
    ]);
    assert.equal(rsync.code, 0, rsync.stderr);
    assert.equal(readFileSync(join(folder, "by-rsync.txt"), "utf8"), "a\n");

    const repository = join(folder, "repository.git");
    mkdirSync(repository);
    const git = (args: readonly string[]) =>
      cluster.run("git", args, {
        env: {
          GIT_SSH_COMMAND: ssh,
          GIT_AUTHOR_NAME: "t",
          GIT_AUTHOR_EMAIL: "t@t",
          GIT_COMMITTER_NAME: "t",
          GIT_COMMITTER_EMAIL: "t@t",
        },
      });
    assert.equal(git(["init", "-q", "--bare", repository]).code, 0);
    const clone = join(folder, "clone");
    assert.equal(git(["clone", "-q", `ssh://${target}${repository}`, clone]).code, 0);
    assert.equal(git(["-C", clone, "commit", "-q", "--allow-empty", "-m", "first"]).code, 0);
    const push = git(["-C", clone, "push", "-q", "origin", "HEAD:main"]);
    assert.equal(push.code, 0, push.stderr);
  });

  test("is told in one line why a login is refused, and the audit log has the detail", async () => {
    const refused = cluster.ssh([`nobody@${cluster.nodeName}`, "true"]);
    assert.equal(refused.code, 255);
    assert.match(refused.stderr, /^admin may not log in to web-01 as nobody/m);
    const unknown = cluster.ssh([`${cluster.login}@no-such-node`, "true"]);
    assert.match(unknown.stderr, /no node "no-such-node" that admin may reach/);
    await eventually(() => {
      const events = JSON.parse(cluster.mezctlOk(["audit", "ls", "--type=access.denied", "--format=json"])) as {
        user_name: string;
        resource_name: string;
      }[];
      return events.some(({ user_name, resource_name }) => user_name === "admin" && resource_name === "web-01");
    });
  });

  test("sees only the nodes that a role allows, and loses them with the role", async () => {
    const role = join(folder, "staging.yaml");
    writeFileSync(
      role,
      JSON.stringify({
        kind: "role",
        version: "v1",
        metadata: { name: "staging" },
        spec: { allow: { node_labels: { env: "staging" }, logins: [cluster.login] } },
      }),
    );
    cluster.mezctlOk(["roles", "create", `--from-file=${role}`]);
    const home = cluster.person("bob", ["--roles=staging"]);
    assert.deepEqual(JSON.parse(cluster.mshOk(["ls", "--format=json"], { home })), []);
    assert.equal(cluster.ssh([target, "true"], { home }).code, 255);
    cluster.mezctlOk(["nodes", "update", cluster.nodeName, "--labels", "env=staging"]);
    await eventually(() => cluster.ssh([target, "true"], { home }).code === 0);
    cluster.mezctlOk(["users", "delete", "bob"]);
    await eventually(() => cluster.ssh([target, "true"], { home }).code === 255);
  });

  test("its sessions are recorded, listed and played by asciinema", needsPeers("asciinema", "script"), async () => {
    cluster.ssh(["-tt", target, "echo what the recording shows"]);
    const id = await eventually(() => {
      const rows = JSON.parse(cluster.mezctlOk(["recordings", "ls", "--user=admin", "--format=json"])) as {
        id: string;
        state: string;
        command: string;
      }[];
      return rows.find(({ state, command }) => state === "complete" && command?.includes("what the recording shows"))?.id;
    });
    const file = join(folder, "session.cast");
    const downloaded = cluster.mezctl(["recordings", "download", id, `--out=${file}`]);
    assert.deepEqual([downloaded.code, /seal verified: admin as /.test(downloaded.stderr)], [0, true], downloaded.stderr);
    const [header] = readFileSync(file, "utf8").split("\n");
    assert.equal((JSON.parse(header as string) as { version: number }).version, 2);
    const played = cluster.run(requirePeer("script"), ["-qec", `asciinema cat ${file}`, "/dev/null"]);
    assert.match(played.stdout, /what the recording shows/);
    assert.match(cluster.mshOk(["play", id]), /what the recording shows/);
    const found = cluster.mezctlOk(["recordings", "ls", "--contains=WHAT the recording", "--format=json"]);
    assert.deepEqual(
      (JSON.parse(found) as { id: string; sealed: boolean }[]).map((each) => [each.id, each.sealed]),
      [[id, true]],
    );
    assert.equal(cluster.mezctlOk(["recordings", "ls", "--contains=what the .* shows", "--format=json"]).trim(), "[]");
  });

  test("a recording that was changed where it is kept is refused", async () => {
    cluster.ssh(["-tt", target, "echo the truth"]);
    const id = await eventually(() => {
      const rows = JSON.parse(cluster.mezctlOk(["recordings", "ls", "--format=json"])) as {
        id: string;
        command: string;
        sealed: boolean;
      }[];
      return rows.find(({ sealed, command }) => sealed && command.includes("the truth"))?.id;
    });
    const [kept, file] = [join(cluster.dataDirectory, "recordings-store", `${id}.cast`), join(folder, "truth.cast")];
    writeFileSync(kept, readFileSync(kept, "utf8").replaceAll("truth", "tooth"));
    const refused = cluster.mezctl(["recordings", "download", id, `--out=${file}`]);
    assert.deepEqual([refused.code, existsSync(file)], [9, false]);
    assert.match(refused.stderr, /was changed after it was sealed/);
  });

  /** The command under an `ssh -tt` whose own terminal is a real one of 80 by 24. */
  function onTerminal(t: TestContext, command: string): { terminal: IPty; printed: (pattern: RegExp) => Promise<unknown> } {
    const terminal = spawn("ssh", ["-F", cluster.sshConfig(), "-tt", target, command], {
      env: cluster.environment(),
      cols: 80,
      rows: 24,
    });
    let screen = "";
    terminal.onData((text) => {
      screen += text;
    });
    t.after(() => terminal.kill());
    return { terminal, printed: (pattern) => eventually(() => pattern.exec(screen)) };
  }

  test("leaves an audit log whose chain holds", () => {
    const { code, stdout, stderr } = cluster.mezctl(["audit", "verify"]);
    assert.equal(code, 0, stderr);
    assert.match(`${stdout}${stderr}`, /\d/);
  });
});

function hashOf(file: string): string {
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}
