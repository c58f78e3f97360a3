import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Cluster } from "../fixtures/cluster.js";
import { needsPeers } from "../peers/require-peer.js";
import { makeSoftHsm, type SoftHsm } from "../peers/softhsm.js";

const PIN = "pin-of-the-token-7261";

describe("CA keys in an HSM", needsPeers("ssh", "softhsm2-util", "libsofthsm2"), () => {
  let hsm: SoftHsm;
  let folder: string;
  let cluster: Cluster;
  before(async () => {
    hsm = makeSoftHsm({ ca: PIN });
    folder = mkdtempSync(join(tmpdir(), "mezite-pin-"));
    writeFileSync(join(folder, "pin"), `${PIN}\n`, { mode: 0o600 });
    const config = { module: hsm.module, token: "ca", pin: `file:${join(folder, "pin")}`, sessions: 2 };
    const plugins = { ca: { config: { ssh_key_type: "ecdsa-p256" } }, "keys.pkcs11": { enabled: true, config } };
    cluster = await Cluster.start({ node: "together", config: { plugins } });
  });
  after(async () => {
    await cluster?.stop();
    hsm?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  const backends = (): Record<string, readonly string[]> => {
    const rows = JSON.parse(cluster.mezctlOk(["ca", "status", "--format=json"])) as { type: string; key_backend: string }[];
    return Object.fromEntries(
      ["user", "host"].map((type) => [type, rows.filter((row) => row.type === type).map((row) => row.key_backend)]),
    );
  };
  const rotate = (type: string, ...flags: readonly string[]): void => {
    cluster.mezctlOk(["ca", "rotate", `--type=${type}`, ...flags]);
    for (let step = 0; step < 4; step += 1) cluster.mezctlOk(["ca", "advance", `--type=${type}`, "--force"]);
  };
  const logIn = (): void =>
    void cluster.mshOk(["login", "--user=admin", "--password-stdin"], { input: `${cluster.adminPassword}\n` });
  const works = (): void => {
    const { code, stderr } = cluster.ssh([`${cluster.login}@${cluster.nodeName}`, "true"]);
    assert.equal(code, 0, stderr);
  };

  test("has SSH keys of the configured kind, which OpenSSH takes", () => {
    for (const type of ["user", "host"])
      assert.match(cluster.mezctlOk(["ca", "export", `--type=${type}`]), /^(@cert-authority \* )?ecdsa-sha2-nistp256 /);
    works();
  });

  test("moves the User CA into the token while people work, and reads it there after a restart", {
    timeout: 280_000,
  }, async () => {
    works();
    rotate("user", "--key-backend=pkcs11");
    assert.deepEqual(backends(), { user: ["pkcs11"], host: ["software"] });
    assert.notEqual(cluster.ssh([`${cluster.login}@${cluster.nodeName}`, "true"]).code, 0, "the certificate of before");
    logIn();
    works();
    assert.equal(await cluster.server.stop(), 0);
    await cluster.startServer();
    logIn();
    await cluster.online(cluster.nodeName);
  });

  test("says which key backends there are", () => {
    const { code, stderr } = cluster.mezctl(["ca", "rotate", "--type=user", "--key-backend=vault"]);
    assert.deepEqual([code, /key backend "vault" is not here; use one of software, pkcs11/.test(stderr)], [2, true], stderr);
  });

  test("never shows the PIN", () => {
    const told = [
      cluster.server.output,
      readFileSync(`/proc/${cluster.server.process.pid}/cmdline`, "latin1"),
      readFileSync(`/proc/${cluster.server.process.pid}/environ`, "latin1"),
    ];
    for (const text of told) assert.equal(text.includes(PIN), false);
  });

  test("does not start with a wrong PIN, and starts with the right one", { timeout: 280_000 }, async () => {
    await cluster.server.stop();
    writeFileSync(join(folder, "pin"), "another-pin\n", { mode: 0o600 });
    await assert.rejects(cluster.startServer(), /token \\?"ca\\?" does not take the PIN \(CKR_PIN_INCORRECT\)/);
    writeFileSync(join(folder, "pin"), `${PIN}\n`, { mode: 0o600 });
    await cluster.startServer();
    logIn();
    await cluster.online(cluster.nodeName);
  });
});
