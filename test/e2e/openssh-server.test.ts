import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { userInfo } from "node:os";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { formatCertificate } from "../../core/ssh/certificate.js";
import { connectSsh, type SshClientOptions } from "../../core/ssh/client.js";
import { exitOf } from "../../core/ssh/client-connection.js";
import { formatPrivateKey, generateSshKeyPair, SshPrivateKey } from "../../core/ssh/private-key.js";
import { freePorts } from "../fixtures/free-ports.js";
import { TestAuthority } from "../fixtures/ssh/test-server.js";

describe("our client with OpenSSH's server", () => {
  const user = userInfo().username;
  let authority: TestAuthority;
  let port: number;
  let sshd: ChildProcess;
  let hostKey: SshPrivateKey;

  before(async () => {
    authority = new TestAuthority();
    hostKey = generateSshKeyPair();
    [port = 0] = await freePorts(1);
    writeFileSync(authority.path("host"), formatPrivateKey(hostKey), { mode: 0o600 });
    writeFileSync(authority.path("host-cert.pub"), formatCertificate(authority.issue("host", hostKey.publicKeyBlob)));
    const config = [
      `ListenAddress 127.0.0.1:${port}`,
      `HostKey ${authority.path("host")}`,
      `HostCertificate ${authority.path("host-cert.pub")}`,
      `TrustedUserCAKeys ${authority.path("user_ca.pub")}`,
      "AuthorizedKeysFile none",
      "PasswordAuthentication no",
      "KbdInteractiveAuthentication no",
      "UsePAM no",
      "PidFile none",
      "StrictModes no",
      "PermitRootLogin prohibit-password",
      "RekeyLimit 512K",
    ];
    writeFileSync(authority.path("sshd_config"), `${config.join("\n")}\n`);
    mkdirSync("/run/sshd", { recursive: true });
    sshd = spawn("/usr/sbin/sshd", ["-D", "-e", "-f", authority.path("sshd_config")], { stdio: "ignore" });
    while (!(await answers(port))) await new Promise((resolve) => setTimeout(resolve, 20));
  });

  after(() => {
    sshd.kill();
    authority.remove();
  });

  const login = (key: SshPrivateKey, overrides: Partial<SshClientOptions> = {}) =>
    connectSsh({
      to: { host: "127.0.0.1", port },
      user,
      key,
      certificateBlob: authority.issue("user", key.publicKeyBlob, { principals: [user] }),
      hostTrust: { authorities: [authority.hostCa.publicKeyBlob], name: "node1", now: () => new Date() },
      ...overrides,
    });

  for (const [name, key] of [
    ["Ed25519", generateSshKeyPair()],
    ["ECDSA", new SshPrivateKey(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey)],
    ["RSA", new SshPrivateKey(generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey)],
  ] as const) {
    test(`logs in with a certificate for a key of type ${name}, believing the host's certificate`, async () => {
      const client = await login(key);
      const channel = await client.exec("echo out; exit 4");
      const exited = exitOf(channel);
      assert.equal(await text(channel), "out\n");
      assert.deepEqual(await exited, { code: 4, signal: null });
      assert.equal(client.algorithms.hostKey, "ssh-ed25519-cert-v01@openssh.com");
      client.close();
    });
  }

  for (const cipher of ["aes128-gcm@openssh.com", "aes256-ctr", "chacha20-poly1305@openssh.com"]) {
    test(`moves 4 MiB with ${cipher} while the server changes the keys`, async () => {
      const client = await login(generateSshKeyPair(), { algorithms: { cipher: [cipher] } });
      const channel = await client.exec("cat");
      channel.end(Buffer.alloc(2 ** 22, "x"));
      assert.equal((await text(channel)).length, 2 ** 22);
      client.close();
    });
  }

  for (const [situation, overrides] of [
    ["another name", { authorities: "own", name: "node2" }],
    ["another CA", { authorities: "other", name: "node1" }],
  ] as const) {
    test(`does not believe a host with a certificate for ${situation}`, async () => {
      const authorities = [overrides.authorities === "own" ? authority.hostCa.publicKeyBlob : generateSshKeyPair().publicKeyBlob];
      await assert.rejects(
        login(generateSshKeyPair(), { hostTrust: { authorities, name: overrides.name, now: () => new Date() } }),
        { code: "SSH_HOST_KEY_REFUSED" },
      );
    });
  }

  test("says when the server does not let it in", async () => {
    await assert.rejects(login(generateSshKeyPair(), { certificateBlob: null }), { code: "SSH_AUTHENTICATION_FAILED" });
  });

  test("believes a pinned key", async () => {
    const client = await login(generateSshKeyPair(), { hostTrust: { pinnedKeys: [hostKey.publicKeyBlob] } });
    assert.equal(client.algorithms.hostKey, "ssh-ed25519");
    client.close();
  });
});

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
