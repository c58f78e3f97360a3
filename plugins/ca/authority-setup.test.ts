import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { type TestContext, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import type { Transaction } from "../../core/plugin/database.js";
import { systemClock } from "../../core/time/clock.js";
import { FakeKeyBackend } from "../../test/fakes/key-backend.js";
import { openTestDatabase, type TestDatabase } from "../../test/fixtures/database.js";
import type { TrustBundle } from "./api.js";
import { AuthorityDirectory } from "./authority-directory.js";
import { AuthorityEntity, AuthorityKeyEntity, findAuthorityKeys } from "./authority-repository.js";
import { createMissingAuthorities } from "./authority-setup.js";
import { KeyBackedAuthorities } from "./certificate-authorities.js";
import { certificatePin } from "./certificate-pin.js";
import { CreateCertificateAuthorities } from "./migrations/20260101000000-certificate-authorities.js";
import { TrustFollowerRegistry } from "./trust-followers.js";

test("makes all authorities at the first start, and tells of it once", async (t) => {
  const { opened, backend, create } = await cluster(t);
  await create();
  await create();
  assert.equal(backend.size, 6);
  assert.deepEqual(
    opened.audits.map(({ type, resourceName }) => `${type} ${resourceName}`),
    ["ca.created user", "ca.created host", "ca.created spiffe"],
  );
  assert.deepEqual(
    opened.puts.map(({ name, key }) => `${name} ${key}`),
    ["ca-keys user", "ca-keys host", "ca-keys spiffe"],
  );
  assert.deepEqual(new Map(opened.puts.map(({ key, value }) => [key, value])), new Map(await directoryOf(opened).entries()));
});

test("gives a cluster of an older release the SPIFFE CA, and leaves the others as they are", async (t) => {
  const { opened, backend, create } = await cluster(t);
  await create();
  await opened.database.transaction(async ({ em }) => {
    await em.nativeDelete(AuthorityKeyEntity, { authority: "spiffe" });
    await em.nativeDelete(AuthorityEntity, { type: "spiffe" });
  });
  const former = await opened.database.read(findAuthorityKeys);
  await create();
  const now = await opened.database.read(findAuthorityKeys);
  assert.deepEqual(
    now.filter(({ authority }) => authority !== "spiffe").map(({ handle }) => handle),
    former.map(({ handle }) => handle),
  );
  assert.equal(now.length, former.length + 2);
  assert.equal(backend.size, 8);
});

test("certifies itself for ten years, for leaf certificates only", async (t) => {
  const { opened, create } = await cluster(t);
  await create();
  for (const [type, { certificatesPem, sshPublicKeys }] of await directoryOf(opened).entries()) {
    const certificate = new X509Certificate(certificatesPem[0] ?? "");
    assert.equal(certificate.subject, `CN=prod ${type} CA`);
    assert.ok(certificate.ca && certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey));
    assert.equal(Math.round((certificate.validToDate.getTime() - Date.now()) / (365.25 * 86_400_000)), 10);
    assert.equal(sshPublicKeys.length, type === "spiffe" ? 0 : 1);
    assert.equal(certificate.subjectAltName, type === "spiffe" ? "URI:spiffe://prod" : undefined);
  }
});

test("leaves one set of authorities and no stray key when several start at once", async (t) => {
  const { opened, backend, create } = await cluster(t);
  await Promise.all([create(), create(), create()]);
  assert.equal(backend.size, 6);
  assert.equal((await opened.database.read(findAuthorityKeys)).length, 6);
});

test("destroys the keys that it made when the backend fails half way", async (t) => {
  const { opened, backend, create } = await cluster(t);
  backend.failNextSign("KEY_BACKEND_UNAVAILABLE");
  await assert.rejects(create(), (error) => isMezError(error, "KEY_BACKEND_UNAVAILABLE"));
  assert.equal(backend.size, 0);
  assert.deepEqual(await opened.database.read(findAuthorityKeys), []);
  await create();
  assert.equal(backend.size, 6);
});

test("stores nothing when the transaction breaks off, and starts afresh", async (t) => {
  const { opened, backend, create } = await cluster(t);
  const breaking = {
    read: opened.database.read.bind(opened.database),
    transaction: <T>(work: (tx: Transaction) => Promise<T>) =>
      opened.database.transaction<T>(async (tx) => {
        await work(tx);
        throw new Error("the power failed");
      }),
  };
  await assert.rejects(
    createMissingAuthorities({ database: breaking, clock: systemClock, clusterName: "prod", backendName: "fake", backend }),
    /power failed/,
  );
  assert.deepEqual(await opened.database.read(findAuthorityKeys), []);
  await create();
  assert.equal((await opened.database.read(findAuthorityKeys)).length, 6);
});

test("shows fingerprint and pin of each key", async (t) => {
  const { opened, create } = await cluster(t);
  await create();
  const status = await directoryOf(opened).status();
  const bundles = new Map(await directoryOf(opened).entries());
  assert.deepEqual(
    status.map(({ type, phase }) => [type, phase]),
    [
      ["host", "none"],
      ["spiffe", "none"],
      ["user", "none"],
    ],
  );
  for (const { type, keys } of status) {
    assert.match(keys[0]?.sshFingerprint ?? "", type === "spiffe" ? /^$/ : /^SHA256:[A-Za-z0-9+/]{43}$/);
    assert.match(keys[0]?.jwtKeyId ?? "", type === "spiffe" ? /^[\w-]{43}$/ : /^$/);
    assert.equal(keys[0]?.certificatePin, certificatePin(bundles.get(type)?.certificatesPem[0] ?? ""));
    assert.equal(keys[0]?.state, "active");
  }
});

test("signs with another key once it is the active one, and trusts both", async (t) => {
  const { opened, backend, create } = await cluster(t);
  await create();
  const authorities = new KeyBackedAuthorities({
    database: opened.database,
    clock: systemClock,
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    clusterName: "prod",
    backendOf: () => backend,
  });
  await authorities.load();
  const [former = ""] = authorities.trustBundle("user").sshPublicKeys;
  const listeners: ((key: string, value: TrustBundle | undefined) => void)[] = [];
  const stop = authorities.follow({
    get: () => undefined,
    entries: () => new Map<string, TrustBundle>().entries(),
    values: () => new Map<string, TrustBundle>().values(),
    size: 0,
    onChange: (listener) => {
      listeners.push(listener);
      return () => void listeners.pop();
    },
  });
  const key = await backend.generate("ed25519");
  await opened.database.transaction(async ({ em }) => {
    await em.nativeUpdate(AuthorityKeyEntity, { authority: "user", usage: "ssh" }, { state: "trusted" });
    await em.insert(AuthorityKeyEntity, {
      id: "second",
      authority: "user",
      generation: 2,
      usage: "ssh",
      backend: "fake",
      handle: key.handle,
      publicKey: key.publicKeyDer.toString("base64"),
      certificate: null,
      state: "active",
      createdAt: new Date(),
    });
  });
  for (const listener of listeners) listener("user", undefined);
  while (authorities.trustBundle("user").sshPublicKeys.length < 2) await new Promise((resolve) => setImmediate(resolve));
  assert.notEqual(authorities.trustBundle("user").sshPublicKeys[0], former);
  assert.equal(authorities.trustBundle("user").sshPublicKeys[1], former);
  stop();
  assert.equal(listeners.length, 0);
});

// --- internal ---

function directoryOf({ database }: TestDatabase): AuthorityDirectory {
  return new AuthorityDirectory(database, { valid: () => ({ count: 0, lastExpiresAt: null }) }, new TrustFollowerRegistry());
}

async function cluster(t: TestContext): Promise<{ opened: TestDatabase; backend: FakeKeyBackend; create: () => Promise<void> }> {
  const opened = await openTestDatabase({
    entities: [AuthorityEntity, AuthorityKeyEntity],
    migrations: [{ name: "20260101000000-certificate-authorities", class: CreateCertificateAuthorities }],
  });
  t.after(() => opened.close());
  const backend = new FakeKeyBackend();
  return {
    opened,
    backend,
    create: () =>
      createMissingAuthorities({
        database: opened.database,
        clock: systemClock,
        clusterName: "prod",
        backendName: "fake",
        backend,
      }),
  };
}
