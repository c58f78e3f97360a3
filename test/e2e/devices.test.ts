import assert from "node:assert/strict";
import { chmodSync, cpSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Cluster, type Finished } from "../fixtures/cluster.js";
import { eventually } from "../fixtures/eventually.js";
import { startServerInBetween } from "../fixtures/server-in-between.js";
import { SshSession } from "../fixtures/ssh-session.js";
import { needsPeers } from "../peers/require-peer.js";
import { type RunningSwtpm, startSwtpm } from "../peers/swtpm.js";

interface ShownDevice {
  readonly id: string;
  readonly user_name: string;
  readonly name: string;
  readonly assurance: string;
  readonly state: string;
}

const NOT_ENROLLED = /web-01 asks for an enrolled device: run "msh device enroll" at yours, then log in again/;

describe("devices", needsPeers("ssh"), () => {
  let cluster: Cluster;
  let target: string;
  let home: string;
  before(async () => {
    cluster = await Cluster.start({ node: "apart" });
    target = `${cluster.login}@${cluster.nodeName}`;
    role("trusted", "required");
    role("noted", "optional");
    home = cluster.person("alice", ["--roles=trusted"]);
  });
  after(() => cluster.stop());

  test("a role that demands a device lets nobody in without one, and says what to do", () => {
    const refused = ssh(home);
    assert.equal(refused.code, 255);
    assert.match(refused.stderr, NOT_ENROLLED);
  });

  test("enrolling takes a token, which works once and for one user", () => {
    const none = enrol(home, "");
    assert.deepEqual([none.code, none.stdout], [4, ""], none.stderr);
    assert.match(none.stderr, /takes a token of an administrator: mezctl devices add --user=alice/);
    const bob = cluster.person("bob", ["--roles=noted"]);
    const token = tokenFor("alice");
    assert.match(enrol(bob, token).stderr, /the enrolment token is wrong, used, too old, or of another user/);
    const enrolled = enrol(home, token);
    assert.equal(enrolled.code, 0, enrolled.stderr);
    assert.match(enrolled.stderr, /weaker than a TPM, because whoever copies the file has the device/);
    assert.match(enrol(home, token).stderr, /the enrolment token is wrong, used/);
    assert.equal(statSync(deviceFile(home)).mode & 0o777, 0o600);
    assert.deepEqual(
      devices().map(({ user_name, name, assurance, state }) => [user_name, name, assurance, state]),
      [["alice", "laptop", "file", "enrolled"]],
    );
    for (const type of ["device.token.created", "device.enrolled", "device.enrolment.failed"])
      assert.ok(audit(type).length > 0, type);
  });

  test("the next login comes from the device, and is let in; its certificate says so", () => {
    assert.match(ssh(home).stderr, NOT_ENROLLED);
    logIn("alice", home);
    const admitted = ssh(home);
    assert.equal(admitted.code, 0, admitted.stderr);
    assert.ok(JSON.stringify(audit("user.login").filter((row) => row.user_name === "alice")).includes(only("alice").id));
  });

  test("a server in between gets nothing out of the device, and neither does one whose certificate nobody checks", async () => {
    const between = await startServerInBetween(cluster.ports.auth);
    try {
      const caFile = join(cluster.folder, "between.pem");
      writeFileSync(caFile, between.authority.certificatePem);
      const there = [`--auth-server=localhost:${between.port}`, "--user=alice", "--password-stdin"];
      const input = "password of alice 1\n";
      const relayed = await cluster.mshMeanwhile(["login", `--ca-file=${caFile}`, ...there], { home: copyOf("relayed"), input });
      assert.equal(relayed.code, 4, relayed.stderr);
      assert.match(relayed.stderr, /what device laptop signed is of another key .* or was meant for another server/);
      assert.ok(JSON.stringify(audit("device.auth.failed")).includes(only("alice").id));
      const unchecked = await cluster.mshMeanwhile(["login", "--insecure", ...there], { home: copyOf("unchecked"), input });
      assert.match(unchecked.stderr, /a device signs only for a server .*; this login does not come from the enrolled device/);
    } finally {
      await between.close();
    }
  });

  test("another machine of the same person is not the device", () => {
    const other = machine("other");
    logIn("alice", other);
    assert.match(ssh(other).stderr, NOT_ENROLLED);
    assert.equal(ssh(home).code, 0);
  });

  test("a copied key file is the device, until it is revoked; one that others can read is not used", () => {
    const thief = machine("thief");
    mkdirSync(join(thief, ".mezite", "devices", "test"), { recursive: true, mode: 0o700 });
    cpSync(deviceFile(home), deviceFile(thief));
    chmodSync(deviceFile(thief), 0o644);
    assert.match(logIn("alice", thief).stderr, /can be read by others .*; this login does not come from the enrolled device/);
    assert.match(ssh(thief).stderr, NOT_ENROLLED);
    chmodSync(deviceFile(thief), 0o600);
    logIn("alice", thief);
    assert.equal(ssh(thief).code, 0);
  });

  test("a lock on the device ends its sessions with the message", async () => {
    const { id } = only("alice");
    const session = await SshSession.open(cluster, target, [], { home });
    cluster.mezctlOk(["locks", "create", `--device=${id}`, "--message=left in the train"]);
    assert.equal(await session.ended(), 255);
    assert.match(`${session.output}${session.errors}`, /device [0-9a-f-]+ is locked: left in the train/);
    const login = cluster.msh(["login", "--user=alice", "--password-stdin"], { home, input: "password of alice 1\n" });
    assert.equal(login.code, 4, login.stderr);
    assert.match(login.stderr, /is locked: left in the train/);
    cluster.mezctlOk(["locks", "delete", "--target-type=device", `--target-name=${id}`]);
    await eventually(() => ssh(home).code === 0);
  });

  test("revoking it ends live sessions, refuses its certificates, its calls and its logins", async () => {
    const { id } = only("alice");
    const sessions = [
      await SshSession.open(cluster, target, ["-tt"], { home }),
      await SshSession.open(cluster, target, [], { home }),
    ];
    cluster.mezctlOk(["devices", "revoke", id]);
    for (const session of sessions) {
      assert.equal(await session.ended(), 255);
      assert.match(`${session.output}${session.errors}`, /device laptop was revoked by an administrator/);
    }
    assert.match(ssh(home).stderr, /device laptop was revoked by an administrator/);
    const call = cluster.msh(["ls"], { home });
    assert.deepEqual([call.code, call.stdout], [4, ""], call.stderr);
    const login = cluster.msh(["login", "--user=alice", "--password-stdin"], { home, input: "password of alice 1\n" });
    assert.equal(login.code, 4, login.stderr);
    assert.match(login.stderr, /device laptop was revoked by an administrator/);
    assert.ok(JSON.stringify(audit("device.auth.failed")).includes(id));
    assert.ok(JSON.stringify(audit("device.revoked")).includes(id));
    assert.equal(only("alice").state, "revoked");
  });

  test("one that was removed is a machine like any other, and can be enrolled again", () => {
    cluster.mezctlOk(["devices", "rm", only("alice").id]);
    assert.deepEqual(devices(), []);
    logIn("alice", home);
    assert.match(ssh(home).stderr, NOT_ENROLLED);
    assert.equal(enrol(home, tokenFor("alice")).code, 0);
    logIn("alice", home);
    assert.equal(ssh(home).code, 0);
    assert.ok(audit("device.deleted").length > 0);
  });

  test("where a device is optional, those without one are let in, and the log says who had one", () => {
    const bob = join(cluster.folder, "home-bob");
    assert.equal(ssh(bob).code, 0);
    assert.equal(enrol(bob, tokenFor("bob")).code, 0);
    logIn("bob", bob);
    assert.equal(ssh(bob).code, 0);
    assert.ok(JSON.stringify(audit("user.cert.issued")).includes(only("bob").id));
  });

  test("an administrator enrols the machine at hand without more", () => {
    cluster.mezctlOk(["devices", "add", "--key=file", "--name=desk"]);
    assert.equal(only("admin").name, "desk");
    const twice = cluster.mezctl(["devices", "add", "--key=file", "--name=desk"]);
    assert.equal(twice.code, 6, twice.stderr);
    assert.match(twice.stderr, /you have a device called desk; choose another name with --name/);
  });

  for (const [args, code, said] of [
    [["revoke", "7f3a"], 5, /there is no device with id "7f3a"; mezctl devices ls shows them/],
    [["rm", "7f3a"], 5, /there is no device with id "7f3a"/],
    [["add", "--user=alcie"], 5, /there is no user "alcie" to enrol a device for/],
    [["add", "--key=usb"], 2, /usb/],
    [["add", "--user=alice", "--ttl=8d"], 2, /8d/],
  ] as const) {
    test(`mezctl devices ${args.join(" ")} is refused in one line`, () => {
      const result = cluster.mezctl(["devices", ...args]);
      assert.match(result.stderr, said);
      const lines = result.stderr.split("\n").filter((line) => line !== "" && !line.startsWith("mezctl: hint:"));
      assert.deepEqual([result.code, result.stdout, lines.length], [code, "", 1], result.stderr);
    });
  }

  describe("with a TPM", needsPeers("swtpm", "swtpm_setup", "tpm2_create"), () => {
    let tpm: RunningSwtpm;
    let carol: string;
    before(async () => {
      tpm = await startSwtpm();
      carol = cluster.person("carol", ["--roles=trusted"]);
    });
    after(() => tpm.close());

    test("the key is in the TPM, and nowhere else", () => {
      const enrolled = enrol(carol, tokenFor("carol"), ["--key=auto"], tpm.environment);
      assert.equal(enrolled.code, 0, enrolled.stderr);
      assert.equal(only("carol").assurance, "tpm_unverified");
      assert.doesNotMatch(readFileSync(deviceFile(carol), "utf8"), /PRIVATE KEY/);
      logIn("carol", carol, tpm.environment);
      const admitted = ssh(carol);
      assert.equal(admitted.code, 0, admitted.stderr);
    });

    test("its file at a machine with another TPM, or with none, is not the device", async () => {
      const thief = machine("tpm-thief");
      mkdirSync(join(thief, ".mezite", "devices", "test"), { recursive: true, mode: 0o700 });
      cpSync(deviceFile(carol), deviceFile(thief));
      const other = await startSwtpm();
      try {
        for (const env of [other.environment, { TPM2TOOLS_TCTI: "device:/dev/no-tpm" }]) {
          assert.match(logIn("carol", thief, env).stderr, /this login does not come from the enrolled device/);
          assert.match(ssh(thief).stderr, NOT_ENROLLED);
        }
      } finally {
        await other.close();
      }
    });

    test("where a TPM is asked for and none is there, nothing is enrolled", () => {
      const result = enrol(carol, tokenFor("carol"), ["--key=tpm", "--name=second"], { TPM2TOOLS_TCTI: "device:/dev/no-tpm" });
      assert.match(result.stderr, /does not do it: tpm2_createprimary failed \(Failed to open .*no-tpm.*\)\n$/);
      assert.doesNotMatch(result.stderr, /Command failed|\/tmp\//);
      assert.notEqual(result.code, 0);
      assert.equal(devices().filter(({ user_name }) => user_name === "carol").length, 1);
    });

    test("a cluster that wants TPMs of a known maker takes those alone", async () => {
      const config = { plugins: { devices: { config: { assurance: "tpm", tpm_ca_file: tpm.makerFile, self_enrolment: true } } } };
      const strict = await Cluster.start({ node: "none", config });
      try {
        const at = (key: string, env: Readonly<Record<string, string>>): Finished =>
          strict.msh(["device", "enroll", `--key=${key}`, `--name=${key}`], { env });
        assert.match(at("file", {}).stderr, /only devices whose key is in a TPM/);
        const unknown = await startSwtpm();
        try {
          assert.match(
            at("tpm", unknown.environment).stderr,
            /a TPM whose maker it knows \(tpm_ca_file\), and it does not know this one/,
          );
        } finally {
          await unknown.close();
        }
        const known = at("tpm", tpm.environment);
        assert.equal(known.code, 0, known.stderr);
        const shown = JSON.parse(strict.mezctlOk(["devices", "ls", "--format=json"])) as readonly ShownDevice[];
        assert.deepEqual(
          shown.map(({ assurance }) => assurance),
          ["tpm"],
        );
      } finally {
        await strict.stop();
      }
    });
  });

  function role(name: string, mode: string): void {
    cluster.createRole(name, { device_trust_mode: mode });
  }

  function ssh(at: string): Finished {
    return cluster.ssh([target, "true"], { home: at });
  }

  function machine(name: string): string {
    const folder = join(cluster.folder, `home-${name}`);
    mkdirSync(folder, { mode: 0o700 });
    return folder;
  }

  /** The same device with nothing else of it: another person's eyes on the same key file. */
  function copyOf(name: string): string {
    const folder = machine(name);
    mkdirSync(join(folder, ".mezite", "devices", "test"), { recursive: true, mode: 0o700 });
    cpSync(deviceFile(home), deviceFile(folder));
    return folder;
  }

  function deviceFile(at: string): string {
    const user = at.endsWith("carol") || at.endsWith("tpm-thief") ? "carol" : "alice";
    return join(at, ".mezite", "devices", "test", `${user}.json`);
  }

  function logIn(user: string, at: string, env: Readonly<Record<string, string>> = {}): Finished {
    const result = cluster.msh(["login", `--user=${user}`, "--password-stdin"], {
      home: at,
      env,
      input: `password of ${user} 1\n`,
    });
    assert.equal(result.code, 0, result.stderr);
    return result;
  }

  function enrol(
    at: string,
    token: string,
    flags: readonly string[] = ["--key=file", "--name=laptop"],
    env: Readonly<Record<string, string>> = {},
  ): Finished {
    if (token === "") return cluster.msh(["device", "enroll", ...flags], { home: at, env });
    return cluster.msh(["device", "enroll", "--token-stdin", ...flags], { home: at, env, input: `${token}\n` });
  }

  function tokenFor(user: string): string {
    const made = cluster.mezctlOk(["devices", "add", `--user=${user}`, "--format=json"]);
    return (JSON.parse(made) as { readonly token: string }).token;
  }

  function devices(): readonly ShownDevice[] {
    return JSON.parse(cluster.mezctlOk(["devices", "ls", "--format=json"])) as readonly ShownDevice[];
  }

  function only(user: string): ShownDevice {
    const [device, ...more] = devices().filter(({ user_name }) => user_name === user);
    assert.ok(device !== undefined && more.length === 0);
    return device;
  }

  function audit(type: string): readonly Readonly<Record<string, unknown>>[] {
    return JSON.parse(cluster.mezctlOk(["audit", "ls", `--type=${type}`, "--format=json"])) as readonly Readonly<
      Record<string, unknown>
    >[];
  }
});
