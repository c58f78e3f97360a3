import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readlinkSync } from "node:fs";
import { after, before, beforeEach, describe, test } from "node:test";
import { connectSsh } from "../../core/ssh/client.js";
import { exitOf } from "../../core/ssh/client-connection.js";
import { generateSshKeyPair } from "../../core/ssh/private-key.js";
import { eventually } from "../../test/fixtures/eventually.js";
import { isRunning } from "../../test/fixtures/process-tree.js";
import { TestNode } from "../../test/fixtures/ssh/test-node.js";

describe("programs on a node, run with OpenSSH's client", () => {
  let node: TestNode;
  let key: string;

  before(async () => {
    node = new TestNode();
    await node.listen();
    key = node.key();
  });
  beforeEach(() => node.allow());
  after(() => node.close());

  for (const [command, code, stdout, stderr] of [
    ["echo out; echo err >&2; exit 7", 7, "out\n", "err\n"],
    ["true", 0, "", ""],
    ["exit 255", 255, "", ""],
    ["no-such-program", 127, "", "SHELL: line 1: no-such-program: command not found\n"],
    ["kill -TERM $$", 255, "", ""],
    ["echo run by ${0##*/}", 0, "run by bash\n", ""],
    ["pwd", 0, "HOME\n", ""],
    ["tty", 1, "not a tty\n", ""],
  ] as const) {
    test(`runs "${command}" and ends with ${code}`, async () => {
      const result = await node.ssh(key, ["node1", command]);
      assert.deepEqual(result, {
        code,
        stdout: stdout.replace("HOME", node.home),
        stderr: stderr.replace("SHELL", node.account.shell),
      });
    });
  }

  test("runs as the login, with its groups and nobody else's", async () => {
    const { stdout } = await node.ssh(key, ["node1", "id -u; id -g; id -G; umask"]);
    const { uid, gid, groups } = node.account;
    const [gotUid, gotGid, gotGroups = ""] = stdout.split("\n");
    assert.deepEqual([gotUid, gotGid], [String(uid), String(gid)]);
    assert.deepEqual(gotGroups.split(" ").map(Number).sort(), [...groups].sort());
  });

  test("starts with a clean environment and lets only agreed variables in", async () => {
    node.sessionId = "6f1c2d3e-0000-4000-8000-000000000001";
    const names = ["LANG", "LC_TIME", "APP_MODE", "SECRET", "BASH_ENV"];
    const send = names.flatMap((name) => ["-o", `SendEnv=${name}`]);
    const { stdout } = await node.ssh(key, [...send, "node1", "env"], "", {
      LANG: "C.UTF-8",
      LC_TIME: "C",
      APP_MODE: "x",
      SECRET: "y",
      BASH_ENV: "/tmp/z",
    });
    node.sessionId = undefined;
    const variables = new Map(
      stdout
        .trim()
        .split("\n")
        .map((line) => line.split(/=(.*)/s) as [string, string]),
    );
    assert.deepEqual([...variables.keys()].filter((name) => !["PWD", "SHLVL", "_", "OLDPWD"].includes(name)).sort(), [
      "APP_MODE",
      "HOME",
      "LANG",
      "LC_TIME",
      "LOGNAME",
      "MEZITE_SESSION_ID",
      "PATH",
      "SHELL",
      "SSH_CLIENT",
      "SSH_CONNECTION",
      "USER",
    ]);
    assert.equal(variables.get("MEZITE_SESSION_ID"), "6f1c2d3e-0000-4000-8000-000000000001");
    assert.match(variables.get("SSH_CONNECTION") ?? "", /^127\.0\.0\.1 \d+ 127\.0\.0\.1 22$/);
    assert.equal(node.started.at(-1)?.id, "6f1c2d3e-0000-4000-8000-000000000001");
  });

  test("gives a login shell a terminal of its own, with the client's size and its changes", async () => {
    const script = `stty size; echo "zero=$0"; test -O "$SSH_TTY" && echo mine; ps -o tty= -p $$; exit 9\n`;
    const { code, stdout } = await node.ssh(key, ["-tt", "node1"], script, { TERM: "xterm-256color" });
    assert.equal(code, 9);
    assert.match(stdout, /zero=-bash\r\n/);
    assert.match(stdout, /\nmine\r\n/);
    assert.match(stdout, /pts\/\d+\r\n/);
    const recording = node.recordings.at(-1);
    assert.equal(recording?.text, stdout);
    assert.equal(recording?.channel.terminal, "xterm-256color");
    assert.equal(recording?.channel.command, null);
    assert.equal(recording?.isClosed, true);
  });

  test("follows the size of the client's window, and passes signals on", async () => {
    const userKey = generateSshKeyPair();
    const extensions = { "permit-pty": "", "roles@mezite": "[]" };
    const client = await connectSsh({
      to: { host: "127.0.0.1", port: node.port },
      user: node.account.name,
      key: userKey,
      certificateBlob: node.authority.issue("user", userKey.publicKeyBlob, { principals: [node.account.name], extensions }),
      hostTrust: { authorities: [node.authority.hostCa.publicKeyBlob], name: "node1", now: () => new Date() },
    });
    const terminal = { term: "xterm", columns: 91, rows: 33 };
    const channel = await client.exec("stty size; trap 'stty size; exit 4' WINCH; echo ready; while :; do sleep 0.05; done", {
      terminal,
    });
    const exited = exitOf(channel);
    let shown = "";
    channel.on("data", (chunk) => {
      shown += String(chunk);
      if (shown.includes("ready")) channel.setWindow(44, 120, 0, 0);
    });
    assert.equal((await exited).code, 4);
    assert.equal(shown, "33 91\r\nready\r\n44 120\r\n");
    assert.ok(node.recordings.at(-1)?.sizes.includes("120x44"));
    const second = await client.exec("trap 'echo got it; exit 5' USR1; echo ready; while :; do sleep 0.05; done");
    second.on("data", (chunk) => {
      if (String(chunk).includes("ready")) second.signal("USR1");
    });
    assert.equal((await exitOf(second)).code, 5);
    client.close();
    await client.closed;
  });

  test("sends all that a terminal shows before the end", async () => {
    const { stdout, code } = await node.ssh(key, ["-tt", "node1", "seq 1 100000; exit 3"]);
    assert.equal(code, 3);
    assert.equal(stdout, Array.from({ length: 100_000 }, (_, index) => `${index + 1}\r\n`).join(""));
  });

  test("takes a large paste into a terminal", async () => {
    const lines = `${"x".repeat(99)}\n`.repeat(20_000);
    const { stdout } = await node.ssh(key, ["-tt", "node1", "stty -echo; echo ready; head -c 2000000 | md5sum"], lines);
    assert.match(stdout, new RegExp(createHash("md5").update(lines).digest("hex")));
  });

  test("holds nobody else's terminal", async () => {
    const first = node.start(key, ["-tt", "node1", "echo up; sleep 30"]);
    await once(first.stdout!, "data");
    const { stdout } = await node.ssh(key, ["node1", "ls -l /proc/self/fd"]);
    first.kill();
    assert.doesNotMatch(stdout, /ptmx|pts/);
  });

  test("moves 100 MiB both ways unchanged", async () => {
    const down = await node.run("sh", [
      "-c",
      `ssh ${node.options(key).join(" ")} node1 'openssl enc -aes-128-ctr -nosalt -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c 104857600' | md5sum`,
    ]);
    const expected = await node.run("sh", [
      "-c",
      "openssl enc -aes-128-ctr -nosalt -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c 104857600 | md5sum",
    ]);
    assert.equal(down.stdout, expected.stdout);
    const up = await node.run("sh", [
      "-c",
      `openssl enc -aes-128-ctr -nosalt -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c 104857600 | ssh ${node.options(key).join(" ")} node1 md5sum`,
    ]);
    assert.equal(up.stdout, expected.stdout);
  });

  test("keeps the output open after the client has ended its input", async () => {
    const { stdout } = await node.ssh(key, ["node1", "cat; sleep 0.2; echo more"], "some\n");
    assert.equal(stdout, "some\nmore\n");
  });

  test("goes on when the program does not read its input", async () => {
    const { stdout, code } = await node.ssh(key, ["node1", "exec <&-; sleep 0.3; echo done"], randomBytes(8 * 2 ** 20));
    assert.deepEqual([stdout, code], ["done\n", 0]);
  });

  for (const [kind, args] of [
    ["a command", []],
    ["a terminal", ["-tt"]],
  ] as const) {
    test(`ends ${kind} when the client goes away`, async () => {
      const client = node.start(key, [...args, "node1", "echo $$; exec sleep 300"]);
      const [line] = (await once(client.stdout!, "data")) as [Buffer];
      const pid = Number(line.toString().trim());
      client.kill("SIGKILL");
      await eventually(() => !isRunning(pid));
    });
  }

  test("ends a session at once, says why, and tells what moved", async () => {
    const client = node.start(key, ["node1", "echo up; sleep 300"]);
    let stderr = "";
    client.stderr?.on("data", (chunk) => (stderr += String(chunk)));
    await once(client.stdout!, "data");
    const [session] = node.liveSessions.all();
    assert.equal(node.leases, 1);
    session?.end("ended by an administrator");
    const [code] = await once(client, "close");
    assert.equal(code, 255);
    assert.match(stderr, /ended by an administrator/);
    await eventually(() => node.ended.at(-1)?.reason === "ended by an administrator");
    assert.equal(node.ended.at(-1)?.id, session?.id);
    assert.ok((node.ended.at(-1)?.bytesIn ?? 0) > 1_000 && (node.ended.at(-1)?.bytesOut ?? 0) > 1_000);
    await eventually(() => node.leases === 0 && node.liveSessions.all().length === 0);
  });

  test("leaves no descriptors behind when a program cannot be started", async () => {
    const connection = await node.connect();
    // More than execve(2) takes, and a value that no environment can hold.
    const environment = Object.fromEntries(Array.from({ length: 90 }, (_, index) => [`LC_${index}`, "x".repeat(32_000)]));
    const attempts = [
      () => connection.exec("true", { environment }),
      () => connection.exec("true", { terminal: { term: "a\0b", columns: 80, rows: 24 } }),
    ];
    const fail = async (attempt: (typeof attempts)[number]): Promise<void> => {
      const channel = await attempt();
      channel.resume();
      const [line] = await once(channel.stderr, "data");
      assert.match(String(line), /the program cannot be started on this node now/);
    };
    for (const attempt of attempts) await fail(attempt);
    const before = readdirSync("/proc/self/fd").length;
    for (let round = 0; round < 5; round++) for (const attempt of attempts) await fail(attempt);
    await eventually(() => readdirSync("/proc/self/fd").length <= before);
    connection.close();
  });

  test("leaves no descriptors and no zombies behind", async () => {
    await node.ssh(key, ["-tt", "node1", "true"]);
    await eventually(() => node.liveSessions.all().length === 0);
    const before = readdirSync("/proc/self/fd").length;
    for (let round = 0; round < 5; round++) {
      await node.ssh(key, ["-tt", "node1", "true"]);
      await node.ssh(key, ["-A", "node1", "true"]);
    }
    await eventually(() => readdirSync("/proc/self/fd").length <= before);
    const fds = readdirSync("/proc/self/fd").map((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        return "";
      }
    });
    assert.deepEqual(
      fds.filter((target) => /ptmx|pts\//.test(target) && target !== readlinkSync("/proc/self/fd/0")),
      [],
    );
  });
});
