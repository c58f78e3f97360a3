import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { after, before, beforeEach, describe, test } from "node:test";
import { isMezError, MezError } from "../../core/errors/error.js";
import { parseCertificateLine } from "../../core/ssh/certificate.js";
import { connectSsh } from "../../core/ssh/client.js";
import { generateSshKeyPair } from "../../core/ssh/private-key.js";
import { eventually } from "../../test/fixtures/eventually.js";
import { TestNode } from "../../test/fixtures/ssh/test-node.js";
import { TestAuthority } from "../../test/fixtures/ssh/test-server.js";
import { NODES } from "../nodes/api.js";
import { USERS_COLLECTION } from "../roles/api.js";

describe("who may come in", () => {
  let node: TestNode;
  let key: string;

  before(async () => {
    node = new TestNode();
    await node.listen();
    key = node.key();
  });
  beforeEach(() => {
    node.allow();
    node.collections.silence = 0;
    node.spoolError = null;
    node.audited.length = 0;
  });
  after(() => node.close());

  const hourAgo = new Date(Date.now() - 3_600_000);
  for (const [situation, certificate, line] of [
    ["an expired certificate", { validAfter: new Date(0), validBefore: hourAgo }, "the certificate has expired; log in again"],
    ["a certificate for another login", { principals: ["somebody"] }, "your certificate does not name the login"],
    ["a certificate from elsewhere", { extensions: { "permit-pty": "" } }, "the certificate names no roles; log in again"],
    [
      "a certificate for another address",
      { criticalOptions: { "source-address": "192.0.2.0/24" } },
      "the certificate may not be used from 127.0.0.1",
    ],
  ] as const) {
    test(`refuses ${situation}, says so, and keeps it in the audit log`, async () => {
      const { code, stderr } = await node.ssh(node.key(certificate as object), ["node1", "true"]);
      assert.equal(code, 255);
      assert.ok(stderr.includes(line), stderr);
      assert.equal(node.audited[0]?.type, "access.denied");
      assert.equal(node.audited[0]?.userName, "alice");
    });
  }

  test("takes no name for the audit log from a certificate that this cluster did not make", async () => {
    const stranger = new TestAuthority();
    const file = stranger.clientKey("forged", "ed25519", { keyId: "root-admin", principals: [node.account.name] });
    assert.equal((await node.ssh(file, ["node1", "true"])).code, 255);
    stranger.remove();
    assert.equal(node.audited.length, 1);
    const [{ userName, metadata } = { userName: undefined, metadata: undefined }] = node.audited;
    assert.deepEqual([userName, metadata?.claimedUser], [undefined, "root-admin"]);
    assert.match(String(metadata?.authority), /^SHA256:/);
  });

  test("writes nobody down who shows a certificate and does not hold its key", async () => {
    const expired = node.key({ validAfter: new Date(0), validBefore: hourAgo });
    const { blob: certificateBlob } = parseCertificateLine(readFileSync(`${expired}-cert.pub`, "utf8"));
    const hostTrust = { authorities: [node.authority.hostCa.publicKeyBlob], name: "node1", now: () => new Date() };
    const to = { host: "127.0.0.1", port: node.port };
    const attempt = { to, hostTrust, user: node.account.name, key: generateSshKeyPair(), certificateBlob };
    await assert.rejects(connectSsh(attempt), (error) => isMezError(error, "SSH_AUTHENTICATION_FAILED"));
    assert.deepEqual(node.audited, []);
  });

  test("tells the person the reason and the audit log the rule", async () => {
    node.decision = { allowed: false, reason: "alice may not log in to node1", detail: "role dev denies it" };
    const { code, stderr } = await node.ssh(key, ["node1", "true"]);
    assert.equal(code, 255);
    assert.match(stderr, /^alice may not log in to node1\r?\n/);
    assert.equal(node.audited.length, 1);
    assert.equal(node.audited[0]?.metadata?.detail, "role dev denies it");
    assert.deepEqual(node.audited[0]?.resourceLabels, { env: "test" });
    assert.equal(node.liveSessions.all().length, 0);
  });

  test("decides on the account that was certified, not on its name alone", async () => {
    const since = "2026-01-01T00:00:00.000Z";
    const certified = node.key({ extensions: { "permit-pty": "", "roles@mezite": '["dev"]', "since@mezite": since } });
    assert.equal((await node.ssh(certified, ["node1", "true"])).code, 0);
    assert.deepEqual([node.asked?.user, node.asked?.since], ["alice", since]);
  });

  test("refuses a login that the machine does not have", async () => {
    const { stderr } = await node.ssh(node.key({ principals: ["ghost"] }), ["-l", "ghost", "-o", "User=ghost", "node1", "true"]);
    assert.ok(/Permission denied|there is no user/.test(stderr), stderr);
  });

  test("lets nobody in when the auth service has been silent for too long", async () => {
    node.collections.silence = 7_200;
    const { code, stderr } = await node.ssh(key, ["node1", "true"]);
    assert.equal(code, 255);
    assert.match(stderr, /this node has not heard from the auth service for 2h/);
  });

  test("ends a session whose person lost access", async () => {
    const client = node.start(key, ["node1", "echo up; sleep 60"]);
    let stderr = "";
    client.stderr?.on("data", (chunk) => (stderr += String(chunk)));
    await once(client.stdout!, "data");
    node.decision = { allowed: false, reason: "alice has no access to node node1", detail: "gone" };
    node.collections.of(USERS_COLLECTION).set("alice", undefined);
    await once(client, "close");
    assert.match(stderr, /your access has ended: alice has no access to node node1/);
  });

  test("ends sessions when the node itself was removed", async () => {
    const client = node.start(key, ["node1", "echo up; sleep 60"]);
    await once(client.stdout!, "data");
    const nodes = node.collections.of(NODES);
    const entry = nodes.get("node1");
    nodes.set("node1", undefined);
    assert.equal((await once(client, "close"))[0], 255);
    nodes.set("node1", entry);
  });

  test("runs the command that a certificate forces", async () => {
    const forced = node.key({ criticalOptions: { "force-command": "echo forced: $SSH_ORIGINAL_COMMAND" } });
    assert.equal((await node.ssh(forced, ["node1", "rm -rf x"])).stdout, "forced: rm -rf x\n");
    assert.equal((await node.run("sftp", [...node.options(forced), "node1"], "pwd\n")).code !== 0, true);
  });

  test("gives no terminal and no forwarding without the certificate's permission", async () => {
    const plain = node.key({ extensions: { "roles@mezite": "[]" } });
    assert.match((await node.ssh(plain, ["-tt", "node1", "true"])).stderr, /PTY allocation request failed/);
    assert.match((await node.ssh(plain, ["-W", "127.0.0.1:1", "node1"])).stderr, /port forwarding is not allowed/);
    assert.equal(
      (await node.ssh(plain, ["-A", "node1", "echo [$SSH_AUTH_SOCK]"], "", { SSH_AUTH_SOCK: "/tmp/none" })).stdout,
      "[]\n",
    );
  });

  test("copies no files when the roles do not allow it", async () => {
    node.allow({ fileCopy: false });
    for (const [program, args] of [
      ["sftp", [...node.options(key), "-b", "-", "node1"]],
      ["scp", [...node.options(key), key, "node1:x"]],
      ["scp", ["-O", ...node.options(key), key, "node1:x"]],
      ["rsync", ["-e", `ssh ${node.options(key).join(" ")}`, key, "node1:x"]],
    ] as const) {
      const { code, stderr } = await node.run(program, args);
      assert.notEqual(code, 0);
      assert.match(stderr, /copying files is not allowed by your roles/);
    }
  });

  test("does not begin what cannot be recorded", async () => {
    node.spoolError = new MezError("STORAGE_FULL", "no space left for recordings");
    const { code, stdout, stderr } = await node.ssh(key, ["node1", "echo secret"]);
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, /cannot be recorded, so it does not begin: no space left for recordings/);
    assert.equal(node.audited.at(-1)?.type, "session.recording.failed");
  });

  test("ends the session when recording fails under way", async () => {
    const client = node.start(key, ["node1", "echo up; sleep 60"]);
    let stderr = "";
    client.stderr?.on("data", (chunk) => (stderr += String(chunk)));
    await once(client.stdout!, "data");
    node.recordings.at(-1)?.fail(new MezError("STORAGE_FULL", "no space left for recordings"));
    await once(client, "close");
    assert.match(stderr, /can no longer be recorded: no space left/);
  });

  test("records nothing when recording_mode is off, and still tells of the session", async (t) => {
    node.set.set("recording_mode", "off");
    t.after(() => node.set.clear());
    const [recordings, started] = [node.recordings.length, node.started.length];
    const { stdout } = await node.ssh(key, ["node1", "echo unseen"]);
    assert.equal(stdout, "unseen\n");
    assert.deepEqual(
      [node.recordings.length, node.started.length, node.executed.at(-1)],
      [recordings, started + 1, "echo unseen"],
    );
  });

  test("lets nobody in when only proxies may record, and records by itself when best effort will do", async (t) => {
    node.set.set("recording_mode", "proxy");
    t.after(() => node.set.clear());
    const { code, stderr } = await node.ssh(key, ["node1", "echo unseen"]);
    assert.equal(code, 255);
    assert.match(stderr, /sessions are recorded by proxies \(recording_mode\), and no proxy can read a session to a node/);
    assert.equal(node.audited.at(-1)?.type, "access.denied");
    node.set.set("recording_policy", "best_effort");
    assert.equal((await node.ssh(key, ["node1", "echo seen"])).code, 0);
    assert.match(node.recordings.at(-1)?.text ?? "", /seen/);
  });

  test("goes on unrecorded, and says so, when recording_policy is best_effort", async () => {
    const lenient = new TestNode();
    lenient.set.set("recording_policy", "best_effort");
    await lenient.listen();
    const client = lenient.start(lenient.key(), ["node1", "echo up; read x; echo down"]);
    let output = "";
    client.stderr?.on("data", (chunk) => (output += String(chunk)));
    await once(client.stdout!, "data");
    lenient.recordings.at(-1)?.fail(new MezError("STORAGE_FULL", "no space left"));
    await eventually(() => /this session is no longer recorded: no space left/.test(output));
    client.stdin?.end("\n");
    const [code] = await once(client, "close");
    assert.equal(code, 0);
    await lenient.close();
  });
});
