import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { CertificateFolder } from "./certificate-folder.js";
import type { CertificateSet } from "./certificate-set.js";
import { generateInstanceKeys } from "./instance-keys.js";

let path: string;
let folder: CertificateFolder;
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), "mezite-identity-"));
  folder = new CertificateFolder({ path, groupId: null });
});
afterEach(() => rmSync(path, { recursive: true, force: true }));

test("gives back what was saved, and nothing before", async () => {
  assert.equal(await folder.load(), null);
  const saved = setOf(1);
  await folder.save(saved);
  const loaded = await new CertificateFolder({ path, groupId: null }).load();
  assert.deepEqual(loaded, saved);
});

test("a reader of `current` sees the key and the certificate of one set, however often they are replaced", async () => {
  await folder.save(setOf(1));
  const seen = new Set<string>();
  for (let generation = 2; generation <= 12; generation += 1) {
    const saving = folder.save(setOf(generation));
    for (let look = 0; look < 20; look += 1) {
      const current = realpathSync(join(path, "current"));
      const serial = readFileSync(join(current, "cert_serial"), "utf8").trim();
      assert.equal(readFileSync(join(current, "ssh_cert"), "utf8"), `certificate ${serial}\n`);
      assert.equal(readFileSync(join(path, "ssh_known_hosts"), "utf8").startsWith("hosts "), true);
      seen.add(serial);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await saving;
    await folder.removeOld();
    assert.equal(readdirSync(join(path, ".sets")).length, 1);
  }
  assert.ok(seen.size > 1);
});

test("with a proxy each set has an OpenSSH configuration that names its own files, until there is none", async () => {
  const proxied = new CertificateFolder({ path, groupId: null }, [{ host: "proxy.example.com", port: 3023 }]);
  assert.ok(await proxied.isConfigured(), "nothing to configure yet");
  await folder.save(setOf(1));
  assert.ok(!(await proxied.isConfigured()));
  await proxied.save(setOf(1));
  const first = readFileSync(join(path, "ssh_config"), "utf8");
  assert.ok((await proxied.isConfigured()) && !(await folder.isConfigured()));
  for (const line of ["  HostName proxy.example.com", "  Port 3023", `  UserKnownHostsFile "${path}/ssh_known_hosts"`])
    assert.ok(first.split("\n").includes(line), first);
  const named = /^ {2}IdentityFile "(.*)"\n {2}CertificateFile "(.*)"$/m.exec(first);
  await proxied.save(setOf(2));
  assert.notEqual(readFileSync(join(path, "ssh_config"), "utf8"), first);
  assert.equal(readFileSync(named?.[2] ?? "", "utf8"), "certificate 1\n");
  assert.match(readFileSync(named?.[1] ?? "", "utf8"), /BEGIN OPENSSH PRIVATE KEY/);
  await folder.save(setOf(3));
  assert.ok(!readdirSync(path).includes("ssh_config"));
});

test("removes the sets that are named, but not the one in use, and not one that was replaced later", async () => {
  const serials = (): string[] =>
    readdirSync(join(path, ".sets")).map((name) => readFileSync(join(path, ".sets", name, "cert_serial"), "utf8").trim());
  await folder.save(setOf(1));
  await folder.save(setOf(2));
  const replaced = await folder.replaced();
  await folder.save(setOf(3));
  await folder.removeOld([...replaced, ...readdirSync(join(path, ".sets")).filter((name) => name.startsWith("000003"))]);
  assert.deepEqual(serials().sort(), ["2", "3"]);
  await folder.removeOld();
  assert.deepEqual(serials(), ["3"]);
});

test("keeps the old set when the new one cannot be put in its place", async () => {
  await folder.save(setOf(1));
  mkdirSync(join(path, "current.new"));
  await assert.rejects(folder.save(setOf(2)), (error) => isMezError(error, "STORAGE_UNWRITABLE", "STORAGE_FULL"));
  assert.equal((await folder.load())?.generation, 1);
  assert.equal(readdirSync(join(path, ".sets")).length, 1);
});

test("does not touch a file that somebody else made", async () => {
  writeFileSync(join(path, "ssh_key"), "mine");
  await assert.rejects(folder.save(setOf(1)), (error) => isMezError(error, "DESTINATION_UNUSABLE"));
  assert.equal(readFileSync(join(path, "ssh_key"), "utf8"), "mine");
  assert.equal(await folder.load(), null);
});

test("keeps the keys of a request until they are dropped", async () => {
  const first = await folder.pendingKeys();
  const again = await new CertificateFolder({ path, groupId: null }).pendingKeys();
  assert.ok(again.sshPublicKey.equals(first.sshPublicKey) && again.x509PublicKey.equals(first.x509PublicKey));
  await folder.dropPendingKeys();
  assert.ok(!(await folder.pendingKeys()).sshPublicKey.equals(first.sshPublicKey));
});

test("says that damaged files are damaged, and what to do", async () => {
  await folder.save(setOf(1));
  writeFileSync(join(path, "current", "instance.json"), "{");
  await assert.rejects(
    folder.load(),
    (error) => isMezError(error, "IDENTITY_UNREADABLE") && /bootstrap with a new token/.test(error.message),
  );
});

// --- internal ---

function setOf(generation: number): CertificateSet {
  return {
    ...{ identity: "ci", instanceId: "0", generation, trustPem: ["PEM"], tokenId: "00", keys: generateInstanceKeys() },
    issuedAt: new Date("2026-01-01T00:00:00Z"),
    expiresAt: new Date("2026-01-01T01:00:00Z"),
    sshCertificate: `certificate ${generation}\n`,
    x509CertificatePem: "PEM",
    sshSerial: String(generation),
    knownHosts: `hosts ${generation}\n`,
  };
}
