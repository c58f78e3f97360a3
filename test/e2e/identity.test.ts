import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { cpSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Cluster } from "../fixtures/cluster.js";
import { ended } from "../fixtures/ended.js";
import { eventually } from "../fixtures/eventually.js";
import { freePorts } from "../fixtures/free-ports.js";
import { IdentityMachine, tokenIn } from "../fixtures/identity-machine.js";
import { SshSession } from "../fixtures/ssh-session.js";
import { needsPeers } from "../peers/require-peer.js";

const FILES = ["cert_serial", "ssh_cert", "ssh_key", "ssh_known_hosts", "x509_cert.pem", "x509_key.pem"];

describe("mezd identity", needsPeers("ssh", "scp", "rsync", "git"), () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await Cluster.start({ node: "apart" });
    IdentityMachine.createRole(cluster);
  });
  after(() => cluster.stop());

  test("prints what the documentation shows when an identity is added", () => {
    const printed = cluster.mezctlOk([
      "agent-identities",
      "add",
      "--name=github-deploy",
      "--roles=ci-deployer",
      "--token-ttl=1h",
    ]);
    const expected = [
      'Agent identity "github-deploy" created.',
      "Roles: [ci-deployer]",
      "Token: <64 hex>",
      "",
      "Start the agent identity daemon with:",
      `  mezd identity start --auth-server=localhost:${cluster.ports.auth} --token=<token> --destination-dir=/var/lib/mezite/identity`,
      "",
      "This token can only be used once.",
      "",
    ].join("\n");
    assert.equal(printed.replace(/[0-9a-f]{64}/, "<64 hex>"), expected);
    assert.match(cluster.mezctlOk(["agent-identities", "ls"]), /github-deploy +ci-deployer +waiting +0 +1/);
    cluster.mezctlOk(["agent-identities", "rm", "github-deploy"]);
  });

  test("--one-shot leaves a set of files with which ssh, scp, rsync and git work through the proxy", () => {
    const machine = new IdentityMachine(cluster, "deploy");
    const { code, stderr } = machine.once(IdentityMachine.create(cluster, "deploy"));
    assert.equal(code, 0, stderr);
    assert.deepEqual(
      readdirSync(machine.destination)
        .filter((name) => !name.startsWith("."))
        .sort(),
      [...FILES, "current"].sort(),
    );
    assert.equal(statSync(machine.destination).mode & 0o777, 0o700);
    for (const file of FILES) assert.equal(statSync(join(machine.destination, file)).mode & 0o777, 0o600, file);

    const shown = execFileSync("ssh-keygen", ["-L", "-f", join(machine.destination, "ssh_cert")], { encoding: "utf8" });
    assert.match(shown, /user certificate/);
    assert.match(shown, /Key ID: "identity\/deploy"/);
    assert.ok(shown.includes(`Serial: ${machine.read("cert_serial").trim()}`), shown);
    const x509 = new X509Certificate(machine.read("x509_cert.pem"));
    assert.match(x509.subjectAltName ?? "", new RegExp(`^URI:mezite://test/identity/deploy/${machine.instanceId}, `));

    assert.deepEqual(outcome(machine.ssh("echo here")), [0, "here\n"]);
    const source = join(cluster.folder, "artefact");
    writeFileSync(source, "built\n");
    const flags = machine.sshFlags;
    const scp = cluster.run("scp", [...flags, source, `${machine.target}:${source}.scp`]);
    assert.equal(scp.code, 0, scp.stderr);
    const command = `ssh ${flags.map((flag) => `'${flag}'`).join(" ")}`;
    const rsync = cluster.run("rsync", ["-a", "-e", command, source, `${machine.target}:${source}.rsync`]);
    assert.equal(rsync.code, 0, rsync.stderr);
    for (const copy of ["scp", "rsync"]) assert.equal(readFileSync(`${source}.${copy}`, "utf8"), "built\n");
    const repository = join(cluster.folder, "repository.git");
    execFileSync("git", ["init", "-q", "--bare", repository]);
    const clone = cluster.run("git", ["clone", "-q", `${machine.target}:${repository}`, join(cluster.folder, "clone")], {
      env: { GIT_SSH_COMMAND: command },
    });
    assert.equal(clone.code, 0, clone.stderr);
  });

  test("--proxy writes a configuration with which ssh, scp and the documentation's command need nothing else", () => {
    const machine = new IdentityMachine(cluster, "configured");
    const { code, stderr } = machine.run(["--one-shot", machine.proxyFlag], IdentityMachine.create(cluster, "configured"));
    assert.equal(code, 0, stderr);
    const ssh = (...args: readonly string[]) => outcome(cluster.run("ssh", args));
    assert.deepEqual(ssh(...machine.configFlags, machine.target, "echo here"), [0, "here\n"]);
    const source = join(cluster.folder, "configured-artefact");
    writeFileSync(source, "built\n");
    const copied = cluster.run("scp", [...machine.configFlags, source, `${machine.target}:${source}.scp`]);
    assert.equal(copied.code, 0, copied.stderr);
    // In a configuration of one's own it counts for the hosts that it is included for.
    const own = join(cluster.folder, "own-config");
    writeFileSync(
      own,
      `Host web-* mezite-proxy\n  Include ${join(machine.destination, "ssh_config")}\nHost *\n  BatchMode yes\n`,
    );
    const file = (name: string) => join(machine.destination, name);
    const documented = ["-i", file("ssh_key"), "-o", `CertificateFile=${file("ssh_cert")}`];
    const flags = ["-F", own, ...documented, "-o", `UserKnownHostsFile=${file("ssh_known_hosts")}`];
    assert.deepEqual(ssh(...flags, machine.target, "echo here"), [0, "here\n"]);
    assert.doesNotMatch(cluster.run("ssh", ["-G", "-F", own, "elsewhere"]).stdout, /proxyjump|machine-configured/);
  });

  test("--proxy with several has ssh take the first that answers", async (t) => {
    const machine = new IdentityMachine(cluster, "several");
    const [dead, silent] = (await freePorts(2)) as [number, number];
    const server = createServer().listen(silent, "127.0.0.1");
    t.after(() => server.close());
    const alive = `localhost:${cluster.ports.ssh}`;
    const token = IdentityMachine.create(cluster, "several");
    for (const [index, proxies] of [`127.0.0.1:${dead},${alive}`, `127.0.0.1:${silent},${alive},127.0.0.1:${dead}`].entries()) {
      const { code, stderr } = machine.run(["--one-shot", `--proxy=${proxies}`], index === 0 ? token : undefined);
      assert.equal(code, 0, stderr);
      const reached = await cluster.runMeanwhile("ssh", [...machine.configFlags, machine.target, "echo here"], {});
      assert.deepEqual(outcome(reached), [0, "here\n"]);
    }
    const shown = cluster.run("ssh", ["-G", ...machine.configFlags, "web-01"]).stdout;
    assert.match(shown, /^proxyjump mezite-proxy$/m);
  });

  test("is all that Ansible needs, with the files of the documentation's command", needsPeers("ansible"), () => {
    const machine = new IdentityMachine(cluster, "ansible");
    assert.equal(machine.once(IdentityMachine.create(cluster, "ansible")).code, 0);
    const inventory = join(cluster.folder, "inventory");
    writeFileSync(inventory, `${cluster.nodeName} ansible_user=${cluster.login} ansible_python_interpreter=/usr/bin/python3\n`);
    const copied = join(cluster.folder, "by-ansible");
    const { code, stdout, stderr } = cluster.run(
      "ansible",
      ["-i", inventory, "all", "-m", "copy", "-a", `content=built dest=${copied}`],
      {
        env: { ANSIBLE_SSH_ARGS: machine.sshFlags.join(" "), ANSIBLE_HOME: join(cluster.folder, "ansible") },
      },
    );
    assert.equal(code, 0, stdout + stderr);
    assert.equal(readFileSync(copied, "utf8"), "built");
  });

  test("has the identity's roles and no more", () => {
    IdentityMachine.createRole(cluster, "elsewhere");
    const machine = new IdentityMachine(cluster, "nothing");
    cluster.mezctlOk(["agent-identities", "add", "--name=nothing"]);
    const { code } = machine.once(tokenIn(cluster.mezctlOk(["agent-identities", "add-token", "nothing"])));
    assert.equal(code, 0);
    const refused = machine.ssh("true");
    assert.equal(refused.code, 255);
    assert.match(refused.stderr, /there is no node "web-01" that identity\/nothing may reach/);
    assert.match(
      cluster.mezctl(["roles", "delete", "ci-deployer"]).stderr,
      / identity\/deploy\b.*; first remove identities with mezctl agent-identities rm/,
    );
  });

  test("says that a role's cap shortened the certificates, and keeps a token for one use", () => {
    IdentityMachine.createRole(cluster, "short", { max_session_ttl: "10m" });
    const machine = new IdentityMachine(cluster, "capped");
    const token = IdentityMachine.create(cluster, "capped", "short");
    const { code, stderr } = machine.once(token);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /shortened from 1h to 10m: max_session_ttl of the identity's roles; they are renewed every 6m[34]\ds/);
    const again = new IdentityMachine(cluster, "capped-again").once(token);
    assert.equal(again.code, 4);
    assert.match(again.stderr, /the token is unknown, used or expired/);
  });

  test("renews with new keys, on SIGHUP at once, and goes on after a restart without a token", async () => {
    const machine = new IdentityMachine(cluster, "renewing");
    const first = machine.start(["--renewal-interval=10m"], IdentityMachine.create(cluster, "renewing"));
    await first.printed(/"msg":"ready"/);
    const key = machine.read("ssh_key");
    first.process.kill("SIGHUP");
    await eventually(() => machine.generation === 2);
    assert.notEqual(machine.read("ssh_key"), key);
    assert.equal(machine.ssh("true").code, 0);
    assert.equal(await first.stop("SIGTERM"), 0);
    const second = machine.start(["--renewal-interval=1s"]);
    await eventually(() => machine.generation >= 4);
    assert.equal(await second.stop("SIGTERM"), 0);
    assert.equal(machine.ssh("true").code, 0);
    const status = JSON.parse(cluster.mezctlOk(["agent-identities", "status", "renewing", "--format=json"])) as {
      status: string;
      instances: { generation: number; address: string }[];
    };
    assert.equal(status.status, "active");
    assert.ok((status.instances[0]?.generation ?? 0) >= machine.generation);
  });

  test("refuses an older certificate once a newer one is in use, and locks the instance when a copy renews", async () => {
    const machine = new IdentityMachine(cluster, "copied");
    const token = IdentityMachine.create(cluster, "copied");
    assert.equal(machine.once(token).code, 0);
    const thief = new IdentityMachine(cluster, "thief");
    cpSync(machine.destination, thief.destination, { recursive: true, verbatimSymlinks: true });
    assert.equal(thief.ssh("true").code, 0);

    const other = new IdentityMachine(cluster, "sibling");
    assert.equal(other.once(tokenIn(cluster.mezctlOk(["agent-identities", "add-token", "copied"]))).code, 0);

    const daemon = machine.start(["--renewal-interval=2s"]);
    await eventually(() => machine.generation >= 3);
    await eventually(() => thief.ssh("true").code === 255);
    assert.match(thief.ssh("true").stderr, /a newer certificate of identity\/copied is in use/);
    const live = await machine.session();
    const theft = thief.run(["--one-shot", "--renewal-interval=2s"]);
    assert.equal(theft.code, 4, theft.stderr);
    assert.match(theft.stderr, /this instance of identity\/copied is locked: two holders of its certificate renewed it/);
    assert.equal(await live.ended(), 255);
    assert.equal(machine.ssh("true").code, 255);
    assert.equal(other.ssh("true").code, 0);
    await daemon.stop();
    const audited = JSON.parse(cluster.mezctlOk(["audit", "ls", "--type=agent_identity.copied", "--format=json"])) as {
      metadata: { addresses: string[]; instance: string };
    }[];
    assert.deepEqual(
      audited.map(({ metadata }) => [metadata.instance, metadata.addresses.length]),
      [[machine.instanceId, 2]],
    );
    assert.match(cluster.mezctlOk(["agent-identities", "ls"]), /copied +ci-deployer +locked +2/);
  });

  test("removing an identity ends its sessions, its renewals and its tokens at once", async () => {
    const machine = new IdentityMachine(cluster, "removed");
    const token = IdentityMachine.create(cluster, "removed");
    const daemon = machine.start(["--renewal-interval=2s"], token);
    await daemon.printed(/"msg":"ready"/);
    const live = await machine.session();
    const spare = tokenIn(cluster.mezctlOk(["agent-identities", "add-token", "removed"]));
    cluster.mezctlOk(["agent-identities", "rm", "removed"]);
    assert.equal(await live.ended(), 255);
    assert.match(`${live.output}${live.errors}`, /identity\/removed was deleted from this cluster/);
    assert.equal(machine.ssh("true").code, 255);
    assert.equal(await ended(daemon.process), 3);
    assert.match(daemon.output, /identity\/removed was deleted from this cluster/);
    assert.equal(new IdentityMachine(cluster, "spare").once(spare).code, 4);
    // The same name again, and the same folder with a new token.
    const { code, stderr } = machine.once(IdentityMachine.create(cluster, "removed"));
    assert.equal(code, 0, stderr);
    assert.equal(machine.ssh("true").code, 0);
  });

  test("tells its health on a unix socket, and a service manager that it is ready and alive", async () => {
    const machine = new IdentityMachine(cluster, "healthy");
    const programs = join(cluster.folder, "programs");
    const told = join(cluster.folder, "told");
    mkdirSync(programs);
    writeFileSync(join(programs, "systemd-notify"), `#!/bin/sh\necho "$@" >> ${told}\n`, { mode: 0o755 });
    const socket = join(cluster.folder, "health.sock");
    const daemon = cluster.daemon(machine.flags(`--health-addr=${socket}`), {
      MEZITE_IDENTITY_TOKEN: IdentityMachine.create(cluster, "healthy"),
      NOTIFY_SOCKET: "/run/systemd/notify",
      WATCHDOG_USEC: "400000",
      PATH: `${programs}:${process.env["PATH"] ?? ""}`,
    });
    await daemon.printed(/"msg":"ready"/);
    const answer = await new Promise<string>((resolve, reject) => {
      get({ socketPath: socket, path: "/healthz" }, async (response) => {
        let text = `${response.statusCode} `;
        for await (const chunk of response) text += String(chunk);
        resolve(text);
      }).once("error", reject);
    });
    assert.match(answer, /^200 \{"status":"ok","identity":"healthy","generation":1,/);
    await eventually(() => /--ready --status=certificates of healthy are in/.test(readFileSync(told, "utf8")));
    await eventually(() => /WATCHDOG=1/.test(readFileSync(told, "utf8")));
    assert.equal(
      new IdentityMachine(cluster, "no-socket").run([`--health-addr=${socket}`], IdentityMachine.create(cluster, "late")).code,
      9,
    );
    await daemon.stop("SIGTERM");
    await eventually(() => /STOPPING=1/.test(readFileSync(told, "utf8")));
  });

  test("a lock on the identity refuses its sessions, certificates and renewals until it is lifted, one on an instance only its own", async () => {
    const machine = new IdentityMachine(cluster, "locked");
    const spare = IdentityMachine.create(cluster, "locked");
    assert.equal(machine.once(tokenIn(cluster.mezctlOk(["agent-identities", "add-token", "locked"]))).code, 0);
    const live = await SshSession.open(cluster, machine.target, machine.sshFlags);
    cluster.mezctlOk(["locks", "create", "--type=agent_identity", "--name=locked", "--message=Under review"]);
    assert.equal(await live.ended(), 255);
    for (const refused of [machine.ssh("true"), machine.once(), new IdentityMachine(cluster, "locked-spare").once(spare)]) {
      assert.notEqual(refused.code, 0);
      assert.match(refused.stderr, /agent identity locked is locked: Under review/);
    }
    cluster.mezctlOk(["locks", "delete", "--target-type=agent_identity", "--target-name=locked"]);
    assert.equal(machine.once().code, 0);
    const sibling = new IdentityMachine(cluster, "locked-sibling");
    assert.equal(sibling.once(tokenIn(cluster.mezctlOk(["agent-identities", "add-token", "locked"]))).code, 0);
    cluster.mezctlOk(["locks", "create", "--type=agent_identity_instance", `--name=${machine.instanceId}`, "--message=stolen"]);
    for (const refused of [machine.ssh("true"), machine.once()]) {
      assert.notEqual(refused.code, 0);
      assert.match(refused.stderr, /is locked: stolen/);
    }
    assert.deepEqual([sibling.ssh("true").code, sibling.once().code], [0, 0]);
  });

  test("a group may read the files when that is asked for", () => {
    const machine = new IdentityMachine(cluster, "grouped");
    const { code, stderr } = machine.run(
      [`--group-readable=${process.getgid?.() ?? 0}`, "--one-shot"],
      IdentityMachine.create(cluster, "grouped"),
    );
    assert.equal(code, 0, stderr);
    assert.equal(statSync(machine.destination).mode & 0o777, 0o750);
    for (const file of FILES) assert.equal(statSync(join(machine.destination, file)).mode & 0o777, 0o640, file);
    assert.equal(lstatSync(join(machine.destination, "current", "instance.json")).mode & 0o777, 0o600);
  });

  describe("refuses in one line", () => {
    const OPEN_FOLDER = "open-folder";
    for (const [what, flags, token, code, message] of [
      ["no token", ["--one-shot"], "", 2, /holds no certificates yet; make a token with mezctl agent-identities add/],
      ["a token that is not hex", ["--one-shot"], "z".repeat(64), 2, /a join token is 64 hex characters/],
      ["a token that nobody made", ["--one-shot"], "0".repeat(64), 4, /the server does not know this token/],
      ["an interval as long as the life", ["--renewal-interval=1h"], "0".repeat(64), 2, /must be shorter than --cert-ttl of 1h/],
      ["a health address of the network", ["--health-addr=0.0.0.0:80"], "0".repeat(64), 2, /is not on loopback/],
      ["an unknown group", ["--group-readable=no-such-group"], "0".repeat(64), 2, /is not in \/etc\/group/],
      ["two tokens", ["--token-file=/etc/hostname", "--one-shot"], "0".repeat(64), 2, /are both given/],
      ["a folder that others can write to", ["--one-shot"], "0".repeat(64), 9, /others can write to it \(mode 777\)/],
    ] as const) {
      test(what, () => {
        const machine = new IdentityMachine(
          cluster,
          what.startsWith("a folder") ? OPEN_FOLDER : `refused-${what.replaceAll(" ", "-")}`,
        );
        if (machine.name === OPEN_FOLDER) {
          mkdirSync(machine.destination);
          execFileSync("chmod", ["777", machine.destination]);
        }
        const result = machine.run(flags, token === "" ? undefined : token);
        assert.equal(result.code, code, result.stderr);
        assert.match(result.stderr, message);
        const lines = result.stderr.split("\n").filter((line) => line !== "" && !line.startsWith("mezd: hint:"));
        assert.deepEqual([result.stdout, lines.length], ["", 1], result.stderr);
      });
    }

    test("two daemons in one folder", async () => {
      const machine = new IdentityMachine(cluster, "twice");
      const daemon = machine.start([], IdentityMachine.create(cluster, "twice"));
      await daemon.printed(/"msg":"ready"/);
      const second = machine.run([]);
      assert.equal(second.code, 9);
      assert.match(second.stderr, /is in use by another mezd identity/);
    });

    for (const [what, args, code, message] of [
      ["a role that does not exist", ["add", "--name=x", "--roles=nobody"], 5, /there is no role "nobody"/],
      ["a name that is none", ["add", "--name=No/Name"], 2, /agent identity name "No\/Name" is not valid/],
      ["a name that is taken", ["add", "--name=deploy"], 6, /there is an agent identity "deploy" already/],
      ["an identity that is not there", ["rm", "nobody"], 5, /there is no agent identity "nobody"/],
      ["a token without an identity", ["add-token", "nobody"], 5, /there is no agent identity "nobody"/],
    ] as const) {
      test(what, () => {
        const result = cluster.mezctl(["agent-identities", ...args]);
        assert.equal(result.code, code, result.stderr);
        assert.match(result.stderr, message);
      });
    }
  });
});

function outcome({ code, stdout }: { readonly code: number; readonly stdout: string }): readonly unknown[] {
  return [code, stdout];
}
