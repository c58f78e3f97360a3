import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import type { HostCredentials } from "../../core/plugin/host-identity.js";
import { IdentityStore } from "./identity-store.js";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "mezite-identity-"));
});
after(() => rm(folder, { recursive: true, force: true }));

test("gives back what it stored, from files that only the owner can read", async () => {
  const store = new IdentityStore(join(folder, "a"), "node");
  assert.equal(await store.load(), null);
  const credentials = await credentialsWith(store, "web-01");
  await store.save(credentials);
  const loaded = await store.load();
  assert.deepEqual({ ...loaded, privateKeyPem: 0, sshPrivateKey: 0 }, { ...credentials, privateKeyPem: 0, sshPrivateKey: 0 });
  assert.equal(loaded?.privateKeyPem.expose(), credentials.privateKeyPem.expose());
  assert.equal((await stat(store.folder)).mode & 0o777, 0o700);
  for (const file of await readdir(store.folder)) assert.equal((await stat(join(store.folder, file))).mode & 0o777, 0o600);
});

test("pending keys stay the same until they are dropped", async () => {
  const store = new IdentityStore(join(folder, "b"), "proxy");
  const first = await store.pendingKeys();
  assert.deepEqual((await store.pendingKeys()).sshPublicKey, first.sshPublicKey);
  assert.deepEqual((await new IdentityStore(join(folder, "b"), "proxy").pendingKeys()).tlsPublicKey, first.tlsPublicKey);
  await store.dropPendingKeys();
  assert.notDeepEqual((await store.pendingKeys()).sshPublicKey, first.sshPublicKey);
});

test("a half-written file of a crash does not count", async () => {
  const store = new IdentityStore(join(folder, "c"), "node");
  await store.save(await credentialsWith(store, "web-01"));
  await writeFile(join(store.folder, "host-identity.json.new"), "{");
  assert.equal((await store.load())?.name, "web-01");
  await store.save(await credentialsWith(store, "web-01"));
});

test("a damaged file is named, not overwritten", async () => {
  const store = new IdentityStore(join(folder, "d"), "node");
  await mkdir(store.folder, { recursive: true });
  await writeFile(join(store.folder, "host-identity.json"), "not json");
  await assert.rejects(store.load(), (error) => isMezError(error, "IDENTITY_UNREADABLE") && error.message.includes(store.folder));
});

test("a folder that cannot be made is named", async () => {
  await writeFile(join(folder, "file"), "");
  const store = new IdentityStore(join(folder, "file"), "node");
  await assert.rejects(store.pendingKeys(), (error) => isMezError(error, "IDENTITY_UNWRITABLE", "IDENTITY_UNREADABLE"));
});

// --- internal ---

async function credentialsWith(store: IdentityStore, name: string): Promise<HostCredentials> {
  const keys = await store.pendingKeys();
  return {
    ...{ name, id: "0d8c2f9e-3b1a-4c5d-8e7f-0123456789ab", role: "node", certificatePem: "leaf", trustPem: ["ca"] },
    privateKeyPem: keys.tlsPrivateKeyPem,
    sshPrivateKey: keys.sshPrivateKey,
    sshCertificate: Buffer.from("certificate"),
    expiresAt: new Date("2026-01-02T00:00:00.000Z"),
  };
}
