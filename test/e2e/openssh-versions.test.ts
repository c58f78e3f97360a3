import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { certifyKey } from "../fixtures/certified-key.js";
import { Cluster } from "../fixtures/cluster.js";
import { configByJump } from "../fixtures/config-through.js";
import { needsNewOpenssh, newOpenssh } from "../peers/openssh.js";
import { needsPeers, requirePeer } from "../peers/require-peer.js";

const REKEYED_BYTES = 20_000_000;

describe("OpenSSH clients of all ages and tastes", needsPeers("ssh", "ssh-keygen"), () => {
  let cluster: Cluster;
  let target: string;
  /** A configuration with which they speak SSH with the proxy too. */
  let jumping: string;
  before(async () => {
    cluster = await Cluster.start({ node: "apart" });
    target = `${cluster.login}@${cluster.nodeName}`;
    jumping = configByJump(cluster.home, join(cluster.folder, "ssh_config_jump"));
  });
  after(() => cluster.stop());

  test("10.1 and later: post-quantum key exchange with proxy and node, and not a word of warning", needsNewOpenssh(), () => {
    const program = newOpenssh("ssh");
    const { code, stdout, stderr } = cluster.ssh([target, "echo here"], { program });
    assert.deepEqual([code, stdout, stderr], [0, "here\n", ""]);
    const verbose = cluster.ssh(["-F", jumping, "-v", target, "true"], { program });
    assert.deepEqual(exchanges(verbose.stderr), ["mlkem768x25519-sha256", "mlkem768x25519-sha256"]);
  });

  test("the system's own: the best that it knows, and not a word of warning", () => {
    const { code, stdout, stderr } = cluster.ssh(["-F", jumping, target, "echo here"]);
    assert.deepEqual([code, stdout, stderr], [0, "here\n", ""]);
    const offered = cluster.run("ssh", ["-Q", "kex"]).stdout;
    const best = offered.includes("mlkem768x25519-sha256") ? "mlkem768x25519-sha256" : "curve25519-sha256";
    for (const name of exchanges(cluster.ssh(["-F", jumping, "-v", target, "true"]).stderr))
      assert.ok(name?.startsWith(best), name);
  });

  for (const cipher of [
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes128-ctr",
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
  ]) {
    test(`those that insist on ${cipher}`, () => {
      // The configuration's own options would not reach the jump through the proxy.
      const config = `Ciphers ${cipher}\n${readFileSync(jumping, "utf8")}`;
      const file = join(cluster.folder, "ssh_config_cipher");
      writeFileSync(file, config, { mode: 0o600 });
      const bytes = randomBytes(1_000_000);
      const { status, stdout, stderr } = raw(cluster, ["-v", "-F", file, target, "cat"], bytes);
      assert.equal(status, 0, stderr);
      assert.equal(hashOf(stdout), hashOf(bytes));
      const used = [...stderr.matchAll(/kex: server->client cipher: (\S+)/g)].map(([, name]) => name);
      assert.deepEqual(new Set(used), new Set([cipher]));
    });
  }

  for (const [name, flags] of [
    ["RSA 3072", ["-t", "rsa", "-b", "3072"]],
    ["ECDSA P-256", ["-t", "ecdsa", "-b", "256"]],
    ["ECDSA P-384", ["-t", "ecdsa", "-b", "384"]],
    ["Ed25519", ["-t", "ed25519"]],
  ] as const) {
    test(`keys of ${name}`, async () => {
      const key = join(cluster.folder, `key-${name.replace(/\W/g, "-")}`);
      assert.equal(cluster.run(requirePeer("ssh-keygen"), ["-q", ...flags, "-N", "", "-C", "", "-f", key]).code, 0);
      const certificate = await certifyKey(cluster, readFileSync(`${key}.pub`, "utf8"));
      writeFileSync(`${key}-cert.pub`, certificate);
      const config = readFileSync(jumping, "utf8");
      const mine = config
        .replace(/^(\s*IdentityFile) .*$/gm, `$1 ${key}`)
        .replace(/^(\s*CertificateFile) .*$/gm, `$1 ${key}-cert.pub`);
      assert.notEqual(mine, config);
      writeFileSync(`${key}.config`, mine, { mode: 0o600 });
      for (const program of [requirePeer("ssh"), ...(needsNewOpenssh().skip === false ? [newOpenssh("ssh")] : [])]) {
        const { status, stdout, stderr } = raw(cluster, ["-F", `${key}.config`, target, "echo here"], "", program);
        assert.deepEqual([status, stdout.toString(), stderr], [0, "here\n", ""]);
      }
    });
  }

  test(`those that change keys every megabyte, over ${REKEYED_BYTES / 1e6} MB each way`, () => {
    const bytes = randomBytes(REKEYED_BYTES);
    const config = join(cluster.folder, "ssh_config_rekey");
    writeFileSync(config, `RekeyLimit 1M\n${readFileSync(cluster.sshConfig(), "utf8")}`, { mode: 0o600 });
    const { status, stdout, stderr } = raw(cluster, ["-v", "-F", config, target, "cat"], bytes);
    assert.equal(status, 0, stderr.slice(-2000));
    assert.equal(hashOf(stdout), hashOf(bytes));
    const rekeys = stderr.match(/SSH2_MSG_NEWKEYS received/g)?.length ?? 0;
    assert.ok(rekeys > 30, `${rekeys} key exchanges`);
  });
});

// --- internal ---

/** Runs ssh with bytes that need not be text. */
function raw(cluster: Cluster, args: readonly string[], input: Buffer | string, program = "ssh") {
  const { status, stdout, stderr } = spawnSync(program, args, {
    ...{ input, env: cluster.environment(), timeout: 120_000, maxBuffer: 64 * 1024 * 1024 },
  });
  return { status, stdout, stderr: stderr.toString() };
}

/** What the jump to the proxy and the login to the node agreed on. */
function exchanges(verbose: string): readonly (string | undefined)[] {
  return [...verbose.matchAll(/kex: algorithm: (\S+)/g)].map(([, name]) => name);
}

function hashOf(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
