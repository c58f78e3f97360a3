import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Cluster, freePorts } from "../fixtures/cluster.js";
import { eventually } from "../fixtures/eventually.js";
import { socks5 } from "../fixtures/socks5.js";
import { SshSession } from "../fixtures/ssh-session.js";
import { Sshd } from "../fixtures/sshd.js";
import { needsPeers } from "../peers/require-peer.js";

const NODE = "db-01";
const PEERS = needsPeers("ssh", "scp", "sftp", "rsync", "git", "sshd", "ssh-keygen", "ssh-agent", "ssh-add");

interface AuditEvent {
  readonly event_type: string;
  readonly user_name: string;
  readonly resource_name: string;
  readonly resource_labels: Readonly<Record<string, string>>;
  readonly session_id: string;
  readonly error_message: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

describe("a node without an agent, with OpenSSH through the proxy", PEERS, () => {
  let cluster: Cluster;
  let sshd: Sshd;
  let target: string;
  let folder: string;
  /** May forward and copy. */
  let free: string;
  /** May do neither. */
  let bound: string;

  before(async () => {
    cluster = await Cluster.start({ node: "none" });
    sshd = await Sshd.start(userCa());
    target = `${sshd.login}@${NODE}`;
    folder = join(cluster.folder, "work");
    mkdirSync(folder);
    const { stdout } = add([`--host-key-file=${sshd.path("host.pub")}`, "--verify-host-key", "--format=json"]);
    assert.equal((JSON.parse(stdout) as { host_key: string }).host_key, fingerprint());
    createRole("free", {});
    createRole("bound", { port_forwarding: false, file_copy: false });
    free = cluster.person("fay", ["--roles=free"]);
    bound = cluster.person("ben", ["--roles=bound"]);
  });
  after(async () => {
    await cluster?.stop();
    await sshd?.stop();
  });

  const userCa = () => cluster.mezctlOk(["ca", "export", "--type=user"]);
  const fingerprint = () => `SHA256:${createHash("sha256").update(sshd.hostKeyBlob).digest("base64").replace(/=+$/, "")}`;
  const add = (flags: readonly string[], name = NODE) =>
    cluster.mezctl([
      "nodes",
      "add",
      "--openssh",
      `--name=${name}`,
      "--host=127.0.0.1",
      `--port=${sshd.port}`,
      "--labels=env=production,role=db",
      ...flags,
    ]);
  const ssh = (...args: readonly string[]) => cluster.ssh(args, { home: free });
  const events = (type: string): readonly AuditEvent[] =>
    JSON.parse(cluster.mezctlOk(["audit", "ls", `--type=${type}`, "--format=json"])) as {
      events?: AuditEvent[];
    } & AuditEvent[] as readonly AuditEvent[];
  const sessions = () =>
    JSON.parse(cluster.mezctlOk(["sessions", "ls", "--format=json"])) as readonly {
      id: string;
      login: string;
      node: string;
      user: string;
    }[];

  function createRole(name: string, options: Readonly<Record<string, unknown>>): void {
    const allow = { node_labels: { role: "db" }, logins: [sshd.login] };
    const file = join(cluster.folder, `role-${name}.yaml`);
    writeFileSync(file, JSON.stringify({ kind: "role", version: "v1", metadata: { name }, spec: { options, allow } }));
    cluster.mezctlOk(["roles", "create", `--from-file=${file}`]);
  }

  test("passes a command, its output, errors, exit status and signal", () => {
    const { code, stdout, stderr } = cluster.ssh([target, "cat; echo oops >&2; exit 3"], { home: free, input: "words" });
    assert.deepEqual([code, stdout, stderr], [3, "words", "oops\n"], cluster.server.output.slice(-3000));
    assert.match(ssh("-v", target, "kill -TERM $$").stderr, /exit-signal/);
  });

  test("gives a terminal, variables that sshd takes, and the logins of the role alone", async () => {
    const { stdout } = cluster.ssh(["-tt", "-o", "SendEnv=LC_*", target, "tty; stty size; echo $LC_TEST"], {
      home: free,
      env: { LC_TEST: "kept" },
    });
    assert.match(stdout, /^\/dev\/pts\/\d+\r\n\d+ \d+\r\nkept\r\n$/);
    const { code, stderr } = ssh(`nobody@${NODE}`, "true");
    assert.equal(code, 255);
    assert.match(stderr, /fay may not log in to db-01 as nobody/);
    const denied = await eventually(() => events("access.denied").find(({ error_message }) => error_message.includes("nobody")));
    assert.deepEqual([denied.resource_name, denied.resource_labels.role], [NODE, "db"]);
  });

  test("is shown with kind, address, fingerprint, and the User CA under which the last session worked", async () => {
    const shown = await eventually(() => {
      const node = JSON.parse(cluster.mezctlOk(["nodes", "get", NODE, "--format=json"])) as Readonly<Record<string, string>>;
      return node.user_authority ? node : null;
    });
    assert.deepEqual([shown.kind, shown.address, shown.host_key], ["openssh", `127.0.0.1:${sshd.port}`, fingerprint()]);
    const status = JSON.parse(cluster.mezctlOk(["ca", "status", "--format=json"])) as readonly {
      type: string;
      ssh_fingerprint: string;
    }[];
    assert.equal(shown.user_authority, status.find(({ type }) => type === "user")?.ssh_fingerprint);
    assert.match(cluster.mezctlOk(["nodes", "ls"]), /db-01 +openssh +127\.0\.0\.1 .*agentless/);
    assert.match(cluster.mshOk(["ls"], { home: free }), /db-01/);
  });

  test("scp with both protocols, sftp, rsync and git move every byte, where the role lets them", () => {
    const source = join(folder, "source");
    writeFileSync(source, randomBytes(3_000_000));
    for (const [home, isAllowed] of [
      [free, true],
      [bound, false],
    ] as const) {
      const shell = `ssh -F ${cluster.sshConfig({ home })}`;
      for (const program of ["scp", "scp -O", "sftp", "rsync"]) {
        const there = join(home, program.replace(" ", ""));
        const { code, stderr } =
          program === "rsync"
            ? cluster.run("rsync", ["-e", shell, source, `${target}:${there}`], { home })
            : program === "sftp"
              ? cluster.ssh(["-b", "-", target], { program, home, input: `put ${source} ${there}\n` })
              : cluster.ssh([...program.split(" ").slice(1), source, `${target}:${there}`], { program: "scp", home });
        assert.equal(code === 0, isAllowed, `${program}: ${stderr}`);
        if (isAllowed) assert.ok(readFileSync(there).equals(readFileSync(source)), program);
        else assert.match(stderr, /copying files is not allowed by your roles/, program);
        assert.equal(existsSync(there), isAllowed);
      }
    }
    const repository = join(folder, "repository.git");
    assert.equal(cluster.run("git", ["init", "-q", "--bare", repository]).code, 0);
    const env = { GIT_SSH_COMMAND: `ssh -F ${cluster.sshConfig({ home: free })}` };
    const cloned = cluster.run("git", ["clone", "-q", `${target}:${repository}`, join(folder, "clone")], { home: free, env });
    assert.equal(cloned.code, 0, cloned.stderr);
  });

  test("forwards ports, unix sockets and ssh-agent, where the role lets it", async () => {
    const echo = await echoServer();
    const { port } = echo.address() as AddressInfo;
    const [local = 0, remote = 0, dynamic = 0] = await freePorts(3);
    const socket = join(folder, "remote.sock");
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
    const session = await SshSession.open(cluster, target, flags, { home: free });
    for (const door of [{ port: local, host: "127.0.0.1" }, { port: remote, host: "127.0.0.1" }, { path: socket }])
      assert.ok(await echoes(door), JSON.stringify(door));
    assert.ok(await echoes({ port: dynamic, host: "127.0.0.1" }, socks5(port)), "-D");
    assert.equal(await echoes({ port: dynamic, host: "127.0.0.1" }, socks5((await freePorts(1))[0] ?? 0)), false);
    await session.close();
    const forbidden = await SshSession.open(cluster, target, ["-D", `${dynamic}`], { home: bound });
    assert.equal(await echoes({ port: dynamic, host: "127.0.0.1" }, socks5(port)), false);
    await forbidden.close();
    const agent = await startAgent(join(folder, "agent.sock"));
    const env = { SSH_AUTH_SOCK: agent.path };
    cluster.run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "forwarded", "-f", join(folder, "key")]);
    assert.equal(cluster.run("ssh-add", ["-q", join(folder, "key")], { env }).code, 0);
    assert.match(cluster.ssh(["-A", target, "ssh-add -l"], { home: free, env }).stdout, / forwarded \(ED25519\)/);
    assert.equal(cluster.ssh(["-a", target, "echo [$SSH_AUTH_SOCK]"], { home: free, env }).stdout, "[]\n");
    await agent.stop();
    const refused = cluster.ssh(["-o", "ExitOnForwardFailure=yes", "-R", `${remote}:127.0.0.1:${port}`, target, "true"], {
      home: bound,
    });
    assert.deepEqual([refused.code, /remote port forwarding failed/.test(refused.stderr)], [255, true], refused.stderr);
    assert.match(cluster.ssh(["-W", `127.0.0.1:${port}`, target], { home: bound }).stderr, /port forwarding is not allowed/);
    echo.close();
    const targets = events("session.forward").map(({ metadata }) => `${metadata.direction} ${metadata.target}`);
    for (const expected of [`local 127.0.0.1:${port}`, `remote ${remote}`, `remote ${socket}`])
      assert.ok(targets.includes(expected), expected);
  });

  test("records what is shown, and audits the session with the node's labels", async () => {
    const { stdout } = ssh("-tt", target, "echo a-$((6*7))-b");
    assert.match(stdout, /a-42-b/);
    const start = await eventually(() => events("session.exec").find(({ metadata }) => String(metadata.command).includes("6*7")));
    assert.deepEqual([start.user_name, start.resource_name, start.resource_labels.env], ["fay", NODE, "production"]);
    const cast = await eventually(() => {
      const { code, stdout: text, stderr } = cluster.mezctl(["recordings", "download", start.session_id, "--out=-"]);
      return code === 0 && stderr.includes("seal verified: fay as ") && text.includes("a-42-b") ? text : null;
    });
    assert.equal((JSON.parse(cast.split("\n")[0] ?? "") as { version: number }).version, 2);
    await eventually(() => events("session.end").find(({ session_id }) => session_id === start.session_id));
    const begun = events("session.start").filter(({ session_id }) => session_id === start.session_id);
    assert.equal(begun.length, 1);
    assert.equal(begun[0]?.metadata.login, sshd.login);
  });

  test("a session is listed with its login, and ends at once when it is terminated", async () => {
    const session = await SshSession.open(cluster, target, [], { home: free });
    const [listed] = await eventually(() => {
      const all = sessions().filter(({ login, user }) => login === sshd.login && user === "fay");
      return all.length > 0 ? all : null;
    });
    assert.deepEqual([listed?.node, listed?.user], [NODE, "fay"]);
    cluster.mezctlOk(["sessions", "terminate", listed?.id ?? "", "--reason=enough"]);
    assert.equal(await session.ended(), 255);
    assert.match(session.errors, /session terminated by admin: enough/);
    await eventually(() => sessions().length === 0);
  });

  for (const [flags, said] of [
    [["--user=fay"], "user fay is locked"],
    [[`--agent=${NODE}`], `agent ${NODE} is locked`],
  ] as const) {
    test(`a lock ${flags.join(" ")} ends live sessions and refuses new ones`, async () => {
      const session = await SshSession.open(cluster, target, [], { home: free });
      const lock = JSON.parse(cluster.mezctlOk(["locks", "create", ...flags, "--format=json"])) as { id: string };
      assert.equal(await session.ended(), 255);
      assert.ok(session.errors.includes(said), session.errors);
      const refused = ssh(target, "true");
      assert.deepEqual([refused.code, refused.stderr.includes(said)], [255, true], refused.stderr);
      cluster.mezctlOk(["locks", "delete", lock.id]);
      await eventually(() => ssh(target, "true").code === 0);
    });
  }

  test("a role that loses its labels ends live sessions", async () => {
    const session = await SshSession.open(cluster, target, [], { home: free });
    cluster.mezctlOk(["nodes", "update", NODE, "--labels=env=production,role=other"]);
    assert.equal(await session.ended(), 255);
    cluster.mezctlOk(["nodes", "update", NODE, "--labels=env=production,role=db"]);
    await eventually(() => ssh(target, "true").code === 0);
  });

  test("a host that shows another key is refused with both fingerprints, until the key is rotated", async () => {
    const pinned = fingerprint();
    await sshd.down();
    sshd.makeHostKey("ecdsa");
    await sshd.up();
    const { code, stderr } = ssh(target, "true");
    assert.equal(code, 255);
    assert.ok(stderr.includes(pinned) && stderr.includes(fingerprint()), stderr);
    const denied = await eventually(() =>
      events("access.denied").find(({ error_message }) => error_message.includes(fingerprint())),
    );
    assert.ok(denied.error_message.includes(pinned));
    const other = join(folder, "another");
    cluster.run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", other]);
    const wrong = cluster.mezctl(["nodes", "rotate-host-key", NODE, `--host-key-file=${other}.pub`, "--verify-host-key"]);
    assert.equal(wrong.code, 4, wrong.stderr);
    cluster.mezctlOk(["nodes", "rotate-host-key", NODE, `--host-key=${sshd.hostKeyLine}`, "--verify-host-key"]);
    await eventually(() => ssh(target, "true").code === 0);
  });

  test("says that a node cannot be reached, and goes on when it is back", async () => {
    await sshd.down();
    const { code, stderr } = ssh(target, "true");
    assert.equal(code, 255);
    assert.match(stderr, new RegExp(`node ${NODE} cannot be reached at 127\\.0\\.0\\.1:${sshd.port}: .*ECONNREFUSED`));
    await sshd.up();
    assert.equal(ssh(target, "true").code, 0);
  });

  test("an sshd that does not trust the User CA that signs now refuses, until it has the new file", () => {
    const before = JSON.parse(cluster.mezctlOk(["nodes", "get", NODE, "--format=json"])) as { user_authority: string };
    cluster.mezctlOk(["ca", "rotate", "--type=user"]);
    assert.match(
      cluster.mezctlOk(["ca", "status"]) + cluster.mezctl(["ca", "status"]).stderr,
      /openssh db-01 has to be given the User CA by hand/,
    );
    cluster.mezctlOk(["ca", "advance", "--type=user", "--force"]);
    const { code, stderr } = ssh(target, "true");
    assert.equal(code, 255);
    assert.match(stderr, /the sshd of node db-01 refused the login; it has to trust the User CA that signs now/);
    sshd.trust(userCa());
    assert.equal(ssh(target, "true").code, 0);
    const after = JSON.parse(cluster.mezctlOk(["nodes", "get", NODE, "--format=json"])) as { user_authority: string };
    assert.notEqual(after.user_authority, before.user_authority);
    assert.doesNotMatch(cluster.mezctlOk(["ca", "status"]) + cluster.mezctl(["ca", "status"]).stderr, /by hand/);
  });

  for (const [what, flags, pattern] of [
    [
      "a file that is missing",
      ["--host-key-file=/nowhere/key.pub"],
      /cannot read \/nowhere\/key\.pub: no such file or directory/,
    ],
    ["garbage", ["--host-key=what is this"], /--host-key holds no SSH public key/],
    ["a file of another kind", ["--host-key-file=/etc/passwd"], /\/etc\/passwd holds no SSH public key/],
    ["both sources", ["--host-key=ssh-ed25519 AAAA", "--host-key-file=/x"], /give the node's host key with one of/],
    ["no key", [], /give the node's host key with one of/],
  ] as const) {
    test(`nodes add refuses ${what} with one line`, () => {
      const { code, stderr } = add(flags, "db-02");
      assert.deepEqual([code, pattern.test(stderr), stderr.trim().split("\n").length], [2, true, 1], stderr);
    });
  }

  test("nodes add refuses two keys, a private key, a name that is taken, and a host that shows another key", () => {
    const two = join(folder, "two.pub");
    writeFileSync(two, `${sshd.hostKeyLine}\n${sshd.hostKeyLine}\n`);
    assert.match(add([`--host-key-file=${two}`], "db-02").stderr, /holds 2 keys/);
    assert.match(add([`--host-key-file=${sshd.path("host")}`], "db-02").stderr, /holds a private key/);
    const taken = add([`--host-key=${sshd.hostKeyLine}`]);
    assert.deepEqual([taken.code, /named "db-01" was added already/.test(taken.stderr)], [6, true], taken.stderr);
    const other = join(folder, "other");
    cluster.run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", other]);
    const wrong = add([`--host-key-file=${other}.pub`, "--verify-host-key"], "db-02");
    assert.deepEqual([wrong.code, (wrong.stderr.match(/SHA256:/g) ?? []).length], [4, 2], wrong.stderr);
    assert.equal(cluster.mezctl(["nodes", "get", "db-02"]).code, 5);
    assert.deepEqual(readdirSync(cluster.folder).includes("db-02"), false);
  });

  test("removing the node ends its sessions", async () => {
    const session = await SshSession.open(cluster, target, [], { home: free });
    cluster.mezctlOk(["nodes", "rm", NODE]);
    assert.equal(await session.ended(), 255);
    assert.match(ssh(target, "true").stderr, /there is no node "db-01" that fay may reach/);
  });
});

describe("a node without an agent, with the proxy in a process of its own", needsPeers("ssh", "sshd", "ssh-keygen"), () => {
  let cluster: Cluster;
  let sshd: Sshd;

  before(async () => {
    cluster = await Cluster.start({ node: "none", proxy: "apart" });
    sshd = await Sshd.start(cluster.mezctlOk(["ca", "export", "--type=user"]));
    const add = ["nodes", "add", "--openssh", `--name=${NODE}`, "--host=127.0.0.1", `--port=${sshd.port}`];
    cluster.mezctlOk([...add, `--host-key=${sshd.hostKeyLine}`]);
  });
  after(async () => {
    await cluster?.stop();
    await sshd?.stop();
  });

  test("sessions go on while the auth service is away, and none begins, for want of a certificate", async () => {
    const target = `${sshd.login}@${NODE}`;
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

async function echoServer(): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (socket) => socket.on("error", () => undefined).pipe(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

/** Whether what is sent through this door comes back. */
/** @param greet What is said before. */
async function echoes(
  door: { readonly port: number; readonly host: string } | { readonly path: string },
  greet: (socket: Socket) => Promise<void> = async () => {},
): Promise<boolean> {
  const sent = randomBytes(100_000);
  const socket = connect({ ...door, allowHalfOpen: true });
  try {
    await once(socket, "connect");
    await greet(socket);
    const parts: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => parts.push(chunk));
    socket.end(sent);
    await once(socket, "end");
    return Buffer.concat(parts).equals(sent);
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function startAgent(path: string): Promise<{ readonly path: string; stop(): Promise<void> }> {
  const agent = spawn("ssh-agent", ["-D", "-a", path], { stdio: "ignore" });
  const exited = once(agent, "exit");
  await eventually(() => existsSync(path));
  return {
    path,
    stop: async () => {
      agent.kill();
      await exited;
    },
  };
}
