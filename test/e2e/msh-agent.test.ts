import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseCertificateLine } from "../../core/ssh/certificate.js";
import { AuthenticatorApp } from "../fixtures/authenticator-app.js";
import { closed } from "../fixtures/closed.js";
import { Cluster, type Finished } from "../fixtures/cluster.js";
import { eventually } from "../fixtures/eventually.js";
import { MshAgent } from "../fixtures/msh-agent.js";
import { Sshd } from "../fixtures/sshd.js";
import { TypedProgram } from "../fixtures/typed-program.js";
import { needsPeers } from "../peers/require-peer.js";

const MSH = fileURLToPath(new URL("../../cli/msh.js", import.meta.url));

describe("msh agent", needsPeers("ssh", "scp", "rsync", "git", "ssh-agent", "ssh-add", "ssh-keygen"), () => {
  let cluster: Cluster;
  let target: string;
  let folder: string;
  let config: string;
  let agent: MshAgent;
  before(async () => {
    cluster = await Cluster.start({ node: "apart" });
    target = `${cluster.login}@${cluster.nodeName}`;
    folder = join(cluster.folder, "work");
    mkdirSync(folder);
    agent = await MshAgent.start(cluster, []);
    config = join(folder, "agent.conf");
    writeFileSync(config, cluster.mshOk(["config", "--agent"]));
  });
  after(async () => {
    await MshAgent.stopAll();
    await cluster?.stop();
  });

  const withAgent = (
    program: string,
    args: readonly string[],
    options: { readonly input?: string; env?: Record<string, string> } = {},
  ): Finished => cluster.run(program, args, { ...options, env: { SSH_AUTH_SOCK: agent.socket, ...options.env } });
  const key = (name: string, type: string): string => {
    const file = join(folder, name);
    if (!existsSync(file)) assert.equal(spawnSync("ssh-keygen", ["-q", "-t", type, "-N", "", "-C", name, "-f", file]).status, 0);
    return file;
  };
  const listed = (): string => withAgent("ssh-add", ["-l"]).stdout;

  test("prints what a shell needs, and listens where nobody else gets at it", () => {
    assert.equal(agent.socket, join(cluster.home, ".mezite", "agent", "agent.sock"));
    assert.equal(statSync(agent.socket).mode & 0o777, 0o600);
    assert.equal(statSync(join(agent.socket, "..")).mode & 0o777, 0o700);
    assert.match(listed(), /admin@test \(ED25519-CERT\)\n.*admin@test \(ED25519\)\n/);
  });

  test("is all that ssh, scp, rsync and git need, without a file of the login", () => {
    const files = join(cluster.home, ".mezite", "profiles", "test", "id_ed25519");
    renameSync(files, `${files}.away`);
    try {
      const ssh = withAgent("ssh", ["-F", config, target, "echo $SSH_CONNECTION | wc -w"]);
      assert.deepEqual([ssh.code, ssh.stdout.trim()], [0, "4"], ssh.stderr);
      const [here, there] = [join(folder, "here"), join(folder, "there")];
      writeFileSync(here, "copied\n");
      assert.equal(withAgent("scp", ["-F", config, here, `${target}:${there}`]).code, 0);
      assert.equal(withAgent("rsync", ["-e", `ssh -F ${config}`, `${target}:${there}`, `${here}.back`]).code, 0);
      assert.equal(readFileSync(`${here}.back`, "utf8"), "copied\n");
      const repository = join(folder, "repository.git");
      assert.equal(cluster.run("git", ["init", "-q", "--bare", repository]).code, 0);
      const clone = withAgent("git", ["clone", "-q", `ssh://${target}${repository}`, join(folder, "clone")], {
        env: { GIT_SSH_COMMAND: `ssh -F ${config}` },
      });
      assert.equal(clone.code, 0, clone.stderr);
    } finally {
      renameSync(`${files}.away`, files);
    }
  });

  test("is all that Ansible needs", needsPeers("ansible"), () => {
    const inventory = join(folder, "inventory");
    writeFileSync(inventory, `${cluster.nodeName} ansible_user=${cluster.login} ansible_python_interpreter=/usr/bin/python3\n`);
    const env = { ANSIBLE_SSH_ARGS: `-F ${config}`, ANSIBLE_HOME: join(folder, "ansible"), ANSIBLE_LOCALHOST_WARNING: "false" };
    const ansible = (module: string, ...more: readonly string[]): Finished =>
      withAgent("ansible", ["-i", inventory, "all", "-m", module, ...more], { env });
    const ping = ansible("ping");
    assert.match(ping.stdout, /web-01 \| SUCCESS.*"ping": "pong"/s, ping.stdout + ping.stderr);
    const copied = join(folder, "by-ansible");
    assert.equal(ansible("copy", "-a", `content=deployed dest=${copied}`).code, 0);
    assert.equal(readFileSync(copied, "utf8"), "deployed");
  });

  const fuse = existsSync("/dev/fuse") ? needsPeers("sshfs") : { skip: "this machine has no /dev/fuse" };
  test("is all that sshfs needs", fuse, async () => {
    const mount = join(folder, "mount");
    mkdirSync(mount);
    writeFileSync(join(folder, "remote.txt"), "over there\n");
    const mounted = withAgent("sshfs", ["-F", config, `${target}:${folder}`, mount]);
    assert.equal(mounted.code, 0, mounted.stderr);
    try {
      assert.equal(readFileSync(join(mount, "remote.txt"), "utf8"), "over there\n");
    } finally {
      cluster.run("fusermount", ["-u", mount]);
    }
  });

  test("lends the key to a session that forwards the agent", () => {
    const { stdout, stderr } = withAgent("ssh", ["-F", config, "-A", target, "ssh-add -l"]);
    assert.match(stdout, /admin@test \(ED25519-CERT\)/, stderr);
  });

  for (const [name, type] of [
    ["ed", "ed25519"],
    ["ec", "ecdsa"],
    ["rsa", "rsa"],
  ] as const) {
    test(`keeps an ${type} key that ssh-add gives it, signs with it, and forgets it`, () => {
      const file = key(name, type);
      assert.equal(withAgent("ssh-add", [file]).code, 0);
      assert.match(listed(), new RegExp(`${name} \\(${type.toUpperCase()}\\)`));
      // ssh-add -T has the agent sign, and checks it with the public key.
      const tried = withAgent("ssh-add", ["-T", `${file}.pub`]);
      assert.equal(tried.code, 0, tried.stderr);
      assert.equal(withAgent("ssh-add", ["-d", `${file}.pub`]).code, 0);
      assert.doesNotMatch(listed(), new RegExp(`${name} \\(`));
    });
  }

  test("forgets a key at the end of its lifetime, and all added keys at once, but not the login's", async () => {
    assert.equal(withAgent("ssh-add", ["-t", "1", key("ed", "ed25519")]).code, 0);
    await eventually(() => !listed().includes(" ed "));
    assert.equal(withAgent("ssh-add", [key("ec", "ecdsa")]).code, 0);
    assert.equal(withAgent("ssh-add", ["-D"]).code, 0);
    assert.doesNotMatch(listed(), / ec /);
    assert.match(listed(), /admin@test/);
  });

  test(
    "keeps a key that was added for certain hosts to them, also where the agent is forwarded to",
    needsPeers("sshd"),
    async () => {
      const authority = key("hosts-ca", "ed25519");
      const certified = (name: string): string => {
        const args = ["-q", "-s", authority, "-I", name, "-n", cluster.login, `${key(name, "ed25519")}.pub`];
        assert.equal(spawnSync("ssh-keygen", args).status, 0);
        return key(name, "ed25519");
      };
      const trusted = readFileSync(`${authority}.pub`, "utf8");
      const [a, b] = [await Sshd.start(trusted), await Sshd.start(trusted)];
      const [hosts, hops] = [join(folder, "hosts"), join(folder, "hops.conf")];
      try {
        writeFileSync(hosts, `a ${a.hostKeyLine}\nb ${b.hostKeyLine}\n`);
        const alias = (name: string, { port }: Sshd): string =>
          `Host ${name}\n  HostName 127.0.0.1\n  Port ${port}\n  HostKeyAlias ${name}\n`;
        const rest = `Host *\n  User ${cluster.login}\n  UserKnownHostsFile ${hosts}\n  BatchMode yes\n  IdentityFile none\n  LogLevel ERROR\n`;
        writeFileSync(hops, alias("a", a) + alias("b", b) + rest);
        const ssh = (...args: readonly string[]): Finished => withAgent("ssh", ["-F", hops, ...args]);
        const added = withAgent("ssh-add", ["-q", "-H", hosts, "-h", "a", "-h", "a>b", certified("bound")]);
        assert.equal(added.code, 0, added.stderr);
        assert.match(listed(), / bound \(ED25519-CERT\)/);
        assert.notEqual(withAgent("ssh-add", ["-T", `${key("bound", "ed25519")}.pub`]).code, 0);
        const direct = ssh("a", "echo at a");
        assert.equal(direct.stdout, "at a\n", direct.stderr);
        assert.equal(ssh("b", "echo at b").code, 255);
        const over = ssh("-A", "a", `ssh -F ${hops} b echo over a`);
        assert.equal(over.stdout, "over a\n", over.stderr);
        assert.equal(ssh("-A", "a", `ssh -F ${hops} a echo back`).stdout, "");
        assert.equal(withAgent("ssh-add", ["-q", certified("free")]).code, 0);
        const seen = ssh("-A", "b", "ssh-add -l").stdout;
        assert.deepEqual([/ free /.test(seen), / bound /.test(seen)], [true, false], seen);
        assert.equal(withAgent("ssh-add", ["-D"]).code, 0);
      } finally {
        await Promise.all([a.stop(), b.stop()]);
      }
    },
  );

  test("shows and uses nothing while it is locked", async () => {
    const pass = (answer: string): Record<string, string> => ({ ...askpass(answer), SSH_ASKPASS_REQUIRE: "force" });
    assert.equal(withAgent("ssh-add", ["-x"], { env: pass("open sesame") }).code, 0);
    assert.match(withAgent("ssh-add", ["-l"]).stdout, /no identities/);
    assert.equal(withAgent("ssh", ["-F", config, "-o", "BatchMode=yes", target, "true"]).code, 255);
    assert.notEqual(withAgent("ssh-add", [key("ec", "ecdsa")]).code, 0);
    assert.notEqual(withAgent("ssh-add", ["-X"], { env: pass("open barley") }).code, 0);
    assert.equal(withAgent("ssh-add", ["-X"], { env: pass("open sesame") }).code, 0);
    assert.match(listed(), /admin@test/);
  });

  test("asks before it uses a key that was added with confirmation", async () => {
    for (const [answer, code] of [
      ["yes", 0],
      ["no", 1],
    ] as const) {
      const asking = await MshAgent.start(cluster, [`--socket=${join(folder, `asking-${answer}`)}`], { ...askpass(answer) });
      const env = { SSH_AUTH_SOCK: asking.socket };
      const file = key("ed", "ed25519");
      assert.equal(cluster.run("ssh-add", ["-c", file], { env }).code, 0);
      assert.equal(cluster.run("ssh-add", ["-T", `${file}.pub`], { env }).code, code, answer);
      await asking.stop();
    }
  });

  test("stands in front of the person's own agent", async () => {
    const own = join(folder, "own.sock");
    const behind = spawn("ssh-agent", ["-D", "-a", own], { stdio: "ignore" });
    try {
      await eventually(() => existsSync(own));
      const file = key("behind", "ed25519");
      assert.equal(cluster.run("ssh-add", [file], { env: { SSH_AUTH_SOCK: own } }).code, 0);
      const front = await MshAgent.start(cluster, [`--socket=${join(folder, "front.sock")}`, `--upstream=${own}`]);
      const env = { SSH_AUTH_SOCK: front.socket };
      assert.match(cluster.run("ssh-add", ["-l"], { env }).stdout, /admin@test.*\n.*admin@test.*\n.* behind /);
      assert.equal(cluster.run("ssh-add", ["-T", `${file}.pub`], { env }).code, 0);
      assert.equal(cluster.run("ssh", ["-F", config, "-o", `IdentityAgent=${front.socket}`, target, "true"]).code, 0);
      behind.kill("SIGKILL");
      await once(behind, "exit");
      assert.match(cluster.run("ssh-add", ["-l"], { env }).stdout, /admin@test/, "and goes on when that one is gone");
      await front.stop();
    } finally {
      behind.kill("SIGKILL");
    }
  });

  test("refuses the process of another user", { skip: process.getuid?.() === 0 ? false : "needs root" }, async () => {
    const open = join(cluster.folder, "open");
    mkdirSync(open);
    const shared = await MshAgent.start(cluster, [`--socket=${join(open, "agent.sock")}`]);
    for (const path of [cluster.folder, open]) chmodSync(path, 0o755);
    chmodSync(shared.socket, 0o666);
    const { status, stdout } = spawnSync("ssh-add", ["-l"], {
      uid: 65_534,
      gid: 65_534,
      encoding: "utf8",
      env: { SSH_AUTH_SOCK: shared.socket, PATH: process.env["PATH"] },
    });
    assert.doesNotMatch(stdout, /admin/);
    assert.notEqual(status, 0); // also when it dies of writing to a connection that is gone
    await eventually(() => /refused process \d+ of user 65534/.test(shared.errors));
    await shared.stop();
  });

  test("runs a program with it, and exits as that does", () => {
    const socket = join(folder, "run.sock");
    const { code, stdout } = cluster.msh(["agent", `--socket=${socket}`, "--", "sh", "-c", "ssh-add -l; exit 7"]);
    assert.equal(code, 7);
    assert.match(stdout, /admin@test/);
    assert.equal(existsSync(socket), false);
  });

  test("says when an agent listens already, and takes the place of one that died", async () => {
    const taken = cluster.msh(["agent"]);
    assert.equal(taken.code, 9, taken.stderr);
    assert.match(taken.stderr, /^msh: an agent listens on \S+ already; use it: SSH_AUTH_SOCK=\S+\n$/);
    const path = join(folder, "dead.sock");
    const dead = await MshAgent.start(cluster, [`--socket=${path}`]);
    await dead.stop("SIGKILL");
    assert.ok(existsSync(path));
    await (await MshAgent.start(cluster, [`--socket=${path}`])).stop();
    assert.equal(existsSync(path), false);
  });

  test("closes a connection that sends garbage, and goes on", async () => {
    for (const bytes of [Buffer.alloc(4), Buffer.alloc(8, 0xff), Buffer.from("GET / HTTP/1.1\r\n\r\n")]) {
      const socket = createConnection(agent.socket).on("error", () => {});
      socket.end(bytes);
      await closed(socket);
    }
    assert.match(listed(), /admin@test/);
  });

  test("follows a new login and a logout at once", () => {
    const before = listed();
    cluster.mshOk(["login", "--user=admin", "--password-stdin"], { input: `${cluster.adminPassword}\n` });
    assert.notEqual(listed(), before);
    assert.equal(withAgent("ssh", ["-F", config, target, "true"]).code, 0);
    cluster.mshOk(["logout"]);
    assert.match(listed(), /no identities/);
    cluster.mshOk(["login", "--user=admin", "--password-stdin"], { input: `${cluster.adminPassword}\n` });
    assert.match(listed(), /admin@test/);
  });

  test("renews the certificate while the login lasts", async () => {
    const home = cluster.person("eve", ["--roles=access", `--logins=${cluster.login}`]);
    cluster.mshOk(["login", "--user=eve", "--password-stdin", "--ttl=10s"], { home, input: "password of eve 1\n" });
    const certificate = join(home, ".mezite", "profiles", "test", "id_ed25519-cert.pub");
    const old = readFileSync(certificate, "utf8");
    const later = await MshAgent.start(cluster, [`--socket=${join(folder, "later.sock")}`], {}, home);
    await eventually(() => readFileSync(certificate, "utf8") !== old);
    assert.match(cluster.run("ssh-add", ["-l"], { env: { SSH_AUTH_SOCK: later.socket } }).stdout, /eve@test \(ED25519-CERT\)/);
    await later.stop();
  });

  test("lets the person log in again, with a second factor and from the enrolled device", needsPeers("oathtool"), async () => {
    const role = join(folder, "guarded.yaml");
    const options = { device_trust_mode: "required" };
    const allow = { node_labels: { "*": "*" }, logins: [cluster.login] };
    const spec = { kind: "role", version: "v1", metadata: { name: "guarded" }, spec: { options, allow } };
    writeFileSync(role, JSON.stringify(spec));
    cluster.mezctlOk(["roles", "create", `--from-file=${role}`]);
    const home = cluster.person("nina", ["--roles=guarded"]);
    const { token } = JSON.parse(cluster.mezctlOk(["devices", "add", "--user=nina", "--format=json"]));
    cluster.mshOk(["device", "enroll", "--token-stdin", "--key=file", "--name=laptop"], { home, input: `${token}\n` });
    const adding = new TypedProgram(process.execPath, [MSH, "mfa", "add"], cluster.environment({ home }));
    const [, secret = ""] = await adding.printed(/type the key in: ([A-Z2-7 ]{39})/);
    const app = new AuthenticatorApp(secret.replaceAll(" ", ""));
    await adding.answer(/Code that the app shows: $/, await app.code());
    assert.equal(await adding.ended(), 0, adding.screen);

    cluster.mezctlOk(["config", "set", "session_ttl", "15s"]);
    const login = ["login", "--user=nina", "--password-stdin"];
    cluster.mshOk(login, { home, input: "password of nina 1\n", env: { MEZITE_OTP: await app.code() } });
    cluster.mezctlOk(["config", "unset", "session_ttl"]);
    const [asked, answers] = [join(folder, "asked"), join(folder, "answers")];
    const program = join(folder, "askpass-nina");
    const lines = [
      "#!/bin/sh",
      `echo "$1" >> ${asked}`,
      `case "$1" in Password*) echo password of nina 1;; *) cat ${answers};; esac`,
    ];
    writeFileSync(program, `${lines.join("\n")}\n`, { mode: 0o755 });
    const again = await MshAgent.start(cluster, [], { SSH_ASKPASS: program, DISPLAY: ":0" }, home);
    const certificate = join(home, ".mezite", "profiles", "test", "id_ed25519-cert.pub");
    const old = readFileSync(certificate, "utf8");
    await eventually(() => isExpired(certificate));
    writeFileSync(answers, `${await app.code()}\n`);
    const own = join(folder, "nina.conf");
    writeFileSync(own, cluster.mshOk(["config", "--agent"], { home }));
    const ssh = cluster.run("ssh", ["-F", own, target, "echo inside"]);
    assert.deepEqual([ssh.code, ssh.stdout], [0, "inside\n"], ssh.stderr + again.errors);
    assert.notEqual(readFileSync(certificate, "utf8"), old);
    assert.deepEqual(
      readFileSync(asked, "utf8")
        .trim()
        .split("\n")
        .map((line) => line.replace(/ .*/, "")),
      ["Password", "Code"],
    );
    await eventually(() => /the login of nina on cluster test has ended, and a program needs its key/.test(again.errors));
    await again.stop();
  });

  test("learns the next Host CA when it is used by programs that know nothing of msh", async () => {
    const home = cluster.person("olga", ["--roles=access"]);
    const knownHosts = join(home, ".mezite", "profiles", "test", "known_hosts");
    const before = readFileSync(knownHosts, "utf8").trim().split("\n").length;
    cluster.mezctlOk(["ca", "rotate", "--type=host"]);
    const own = await MshAgent.start(cluster, [], {}, home);
    assert.equal(readFileSync(knownHosts, "utf8").trim().split("\n").length, before);
    assert.equal(cluster.run("ssh-add", ["-l"], { env: { SSH_AUTH_SOCK: own.socket } }).code, 0);
    await eventually(() => readFileSync(knownHosts, "utf8").trim().split("\n").length === before + 1);
    await own.stop();
  });

  /** A program that answers every question. */
  function askpass(answer: string): Record<string, string> {
    const file = join(folder, `askpass-${answer.replaceAll(" ", "-")}`);
    writeFileSync(file, `#!/bin/sh\n${answer === "no" ? "exit 1" : `echo '${answer}'`}\n`, { mode: 0o755 });
    return { SSH_ASKPASS: file, DISPLAY: ":0" };
  }
});

// --- internal ---

/** Whether the certificate in a file has ended. */
function isExpired(file: string): boolean {
  const { validBeforeSeconds } = parseCertificateLine(readFileSync(file, "utf8"));
  return Date.now() / 1000 >= Number(validBeforeSeconds);
}
