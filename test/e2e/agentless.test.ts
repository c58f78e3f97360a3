import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { AGENTLESS_NODE, AGENTLESS_PEERS, AgentlessBed } from "../fixtures/agentless-bed.js";
import { Cluster } from "../fixtures/cluster.js";
import { askingOf, directBridge } from "../fixtures/direct-client.js";
import { echoes, echoServer } from "../fixtures/echo-server.js";
import { eventually } from "../fixtures/eventually.js";
import { freePorts } from "../fixtures/free-ports.js";
import { socks5 } from "../fixtures/socks5.js";
import { SshSession } from "../fixtures/ssh-session.js";
import { Sshd } from "../fixtures/sshd.js";
import { needsPeers } from "../peers/require-peer.js";
import { startSshAgent } from "../peers/ssh-agent.js";

describe("a node without an agent, with OpenSSH through the proxy", AGENTLESS_PEERS, () => {
  let bed: AgentlessBed;
  before(async () => {
    bed = await AgentlessBed.start();
  });
  after(() => bed?.stop());

  test("passes a command, its output, errors, exit status and signal", () => {
    const { code, stdout, stderr } = bed.cluster.ssh([bed.target, "cat; echo oops >&2; exit 3"], {
      home: bed.free,
      input: "words",
    });
    assert.deepEqual([code, stdout, stderr], [3, "words", "oops\n"], bed.cluster.server.output.slice(-3000));
    assert.match(bed.ssh("-v", bed.target, "kill -TERM $$").stderr, /exit-signal/);
  });

  test("is reached by the direct route as well, by the same rules", async (t) => {
    const { cluster, free: home, target } = bed;
    const bridge = await directBridge(askingOf(home, { port: cluster.ports.ssh, user: "fay", host: AGENTLESS_NODE }));
    t.after(bridge.close);
    const ssh = (...args: readonly string[]) => cluster.sshMeanwhile([...bridge.flags, ...args], { home, input: "words" });
    const { code, stdout, stderr } = await ssh(target, "cat; echo oops >&2; exit 3");
    assert.deepEqual([code, stdout, stderr], [3, "words", "oops\n"]);
    assert.match((await ssh(`nobody@${AGENTLESS_NODE}`, "true")).stderr, /fay may not log in to db-01 as nobody/);
    const session = await SshSession.open(cluster, target, bridge.flags, { home });
    cluster.mezctlOk(["locks", "create", "--user=fay", "--message=Security review"]);
    assert.equal(await session.ended(), 255);
    await eventually(() => `${session.output}${session.errors}`.includes("user fay is locked: Security review"));
    cluster.mezctlOk(["locks", "delete", "--target-type=user", "--target-name=fay"]);
  });

  test("gives a terminal, variables that sshd takes, and the logins of the role alone", async () => {
    const { stdout } = bed.cluster.ssh(["-tt", "-o", "SendEnv=LC_*", bed.target, "tty; stty size; echo $LC_TEST"], {
      home: bed.free,
      env: { LC_TEST: "kept" },
    });
    assert.match(stdout, /^\/dev\/pts\/\d+\r\n\d+ \d+\r\nkept\r\n$/);
    const { code, stderr } = bed.ssh(`nobody@${AGENTLESS_NODE}`, "true");
    assert.equal(code, 255);
    assert.match(stderr, /fay may not log in to db-01 as nobody/);
    const denied = await eventually(() =>
      bed.events("access.denied").find(({ error_message }) => error_message.includes("nobody")),
    );
    assert.deepEqual([denied.resource_name, denied.resource_labels.role], [AGENTLESS_NODE, "db"]);
  });

  test("is shown with kind, address, fingerprint, and the User CA under which the last session worked", async () => {
    const shown = await eventually(() => {
      const node = JSON.parse(bed.cluster.mezctlOk(["nodes", "get", AGENTLESS_NODE, "--format=json"])) as Readonly<
        Record<string, string>
      >;
      return node.user_authority ? node : null;
    });
    assert.deepEqual([shown.kind, shown.address, shown.host_key], ["openssh", `127.0.0.1:${bed.sshd.port}`, bed.fingerprint()]);
    const status = JSON.parse(bed.cluster.mezctlOk(["ca", "status", "--format=json"])) as readonly {
      type: string;
      ssh_fingerprint: string;
    }[];
    assert.equal(shown.user_authority, status.find(({ type }) => type === "user")?.ssh_fingerprint);
    assert.match(bed.cluster.mezctlOk(["nodes", "ls"]), /db-01 +openssh +127\.0\.0\.1 .*agentless/);
    assert.match(bed.cluster.mshOk(["ls"], { home: bed.free }), /db-01/);
  });

  test("scp with both protocols, sftp, rsync and git move every byte, where the role lets them", () => {
    const source = join(bed.folder, "source");
    writeFileSync(source, randomBytes(3_000_000));
    for (const [home, isAllowed] of [
      [bed.free, true],
      [bed.bound, false],
    ] as const) {
      const shell = `ssh -F ${bed.cluster.sshConfig({ home })}`;
      for (const program of ["scp", "scp -O", "sftp", "rsync"]) {
        const there = join(home, program.replace(" ", ""));
        const { code, stderr } =
          program === "rsync"
            ? bed.cluster.run("rsync", ["-e", shell, source, `${bed.target}:${there}`], { home })
            : program === "sftp"
              ? bed.cluster.ssh(["-b", "-", bed.target], { program, home, input: `put ${source} ${there}\n` })
              : bed.cluster.ssh([...program.split(" ").slice(1), source, `${bed.target}:${there}`], { program: "scp", home });
        assert.equal(code === 0, isAllowed, `${program}: ${stderr}`);
        if (isAllowed) assert.ok(readFileSync(there).equals(readFileSync(source)), program);
        else assert.match(stderr, /copying files is not allowed by your roles/, program);
        assert.equal(existsSync(there), isAllowed);
      }
    }
    const repository = join(bed.folder, "repository.git");
    assert.equal(bed.cluster.run("git", ["init", "-q", "--bare", repository]).code, 0);
    const env = { GIT_SSH_COMMAND: `ssh -F ${bed.cluster.sshConfig({ home: bed.free })}` };
    const cloned = bed.cluster.run("git", ["clone", "-q", `${bed.target}:${repository}`, join(bed.folder, "clone")], {
      home: bed.free,
      env,
    });
    assert.equal(cloned.code, 0, cloned.stderr);
  });

  test("forwards ports, unix sockets and ssh-agent, where the role lets it", async () => {
    const echo = await echoServer();
    const { port } = echo.address() as AddressInfo;
    const [local = 0, remote = 0, dynamic = 0] = await freePorts(3);
    const socket = join(bed.folder, "remote.sock");
    const flags = [
      "-o",
      "ExitOnForwardFailure=yes",
      "-L",
      `${local}:127.0.0.1:${port}`,
      "-R",
      `${remote}:127.0.0.1:${port}`,
      "-R",
      `${socket}:127.0.0.1:${port}`,
      "-D",
      `${dynamic}`,
    ];
    const session = await SshSession.open(bed.cluster, bed.target, flags, { home: bed.free });
    for (const door of [{ port: local, host: "127.0.0.1" }, { port: remote, host: "127.0.0.1" }, { path: socket }])
      assert.ok(await echoes(door), JSON.stringify(door));
    assert.ok(await echoes({ port: dynamic, host: "127.0.0.1" }, socks5(port)), "-D");
    assert.equal(await echoes({ port: dynamic, host: "127.0.0.1" }, socks5((await freePorts(1))[0] ?? 0)), false);
    await session.close();
    const forbidden = await SshSession.open(bed.cluster, bed.target, ["-D", `${dynamic}`], { home: bed.bound });
    assert.equal(await echoes({ port: dynamic, host: "127.0.0.1" }, socks5(port)), false);
    await forbidden.close();
    const agent = await startSshAgent(join(bed.folder, "agent.sock"));
    const env = { SSH_AUTH_SOCK: agent.path };
    bed.cluster.run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "forwarded", "-f", join(bed.folder, "key")]);
    assert.equal(bed.cluster.run("ssh-add", ["-q", join(bed.folder, "key")], { env }).code, 0);
    assert.match(bed.cluster.ssh(["-A", bed.target, "ssh-add -l"], { home: bed.free, env }).stdout, / forwarded \(ED25519\)/);
    assert.equal(bed.cluster.ssh(["-a", bed.target, "echo [$SSH_AUTH_SOCK]"], { home: bed.free, env }).stdout, "[]\n");
    await agent.stop();
    const refused = bed.cluster.ssh(["-o", "ExitOnForwardFailure=yes", "-R", `${remote}:127.0.0.1:${port}`, bed.target, "true"], {
      home: bed.bound,
    });
    assert.deepEqual([refused.code, /remote port forwarding failed/.test(refused.stderr)], [255, true], refused.stderr);
    assert.match(
      bed.cluster.ssh(["-W", `127.0.0.1:${port}`, bed.target], { home: bed.bound }).stderr,
      /port forwarding is not allowed/,
    );
    echo.close();
    const targets = bed.events("session.forward").map(({ metadata }) => `${metadata.direction} ${metadata.target}`);
    for (const expected of [`local 127.0.0.1:${port}`, `remote ${remote}`, `remote ${socket}`])
      assert.ok(targets.includes(expected), expected);
  });

  test("records what is shown, and audits the session with the node's labels", async () => {
    const { stdout } = bed.ssh("-tt", bed.target, "echo a-$((6*7))-b");
    assert.match(stdout, /a-42-b/);
    const start = await eventually(() =>
      bed.events("session.exec").find(({ metadata }) => String(metadata.command).includes("6*7")),
    );
    assert.deepEqual([start.user_name, start.resource_name, start.resource_labels.env], ["fay", AGENTLESS_NODE, "production"]);
    const cast = await eventually(() => {
      const { code, stdout: text, stderr } = bed.cluster.mezctl(["recordings", "download", start.session_id, "--out=-"]);
      return code === 0 && stderr.includes("seal verified: fay as ") && text.includes("a-42-b") ? text : null;
    });
    assert.equal((JSON.parse(cast.split("\n")[0] ?? "") as { version: number }).version, 2);
    await eventually(() => bed.events("session.end").find(({ session_id }) => session_id === start.session_id));
    const begun = bed.events("session.start").filter(({ session_id }) => session_id === start.session_id);
    assert.equal(begun.length, 1);
    assert.equal(begun[0]?.metadata.login, bed.sshd.login);
  });

  test("a session is listed with its login, and ends at once when it is terminated", async () => {
    const session = await SshSession.open(bed.cluster, bed.target, [], { home: bed.free });
    const [listed] = await eventually(() => {
      const all = bed.sessions().filter(({ login, user }) => login === bed.sshd.login && user === "fay");
      return all.length > 0 ? all : null;
    });
    assert.deepEqual([listed?.node, listed?.user], [AGENTLESS_NODE, "fay"]);
    bed.cluster.mezctlOk(["sessions", "terminate", listed?.id ?? "", "--reason=enough"]);
    assert.equal(await session.ended(), 255);
    assert.match(session.errors, /session terminated by admin: enough/);
    await eventually(() => bed.sessions().length === 0);
  });
});

describe("a node without an agent, with the proxy in a process of its own", needsPeers("ssh", "sshd", "ssh-keygen"), () => {
  let cluster: Cluster;
  let sshd: Sshd;

  before(async () => {
    cluster = await Cluster.start({ node: "none", proxy: "apart" });
    sshd = await Sshd.start(cluster.mezctlOk(["ca", "export", "--type=user"]));
    const add = ["nodes", "add", "--openssh", `--name=${AGENTLESS_NODE}`, "--host=127.0.0.1", `--port=${sshd.port}`];
    cluster.mezctlOk([...add, `--host-key=${sshd.hostKeyLine}`]);
  });
  after(async () => {
    await cluster?.stop();
    await sshd?.stop();
  });

  test("sessions go on while the auth service is away, and none begins, for want of a certificate", async () => {
    const target = `${sshd.login}@${AGENTLESS_NODE}`;
    const session = await eventually(() => SshSession.open(cluster, target));
    await cluster.server.stop("SIGKILL");
    await session.works();
    const { code, stderr } = cluster.ssh([target, "true"]);
    assert.equal(code, 255);
    assert.match(stderr, /auth service/);
    await cluster.startServer();
    await eventually(() => cluster.ssh([target, "true"]).code === 0);
    await session.works();
    await session.close();
    await eventually(() => cluster.mezctlOk(["sessions", "ls", "--format=json"]).trim() === "[]");
  });
});
