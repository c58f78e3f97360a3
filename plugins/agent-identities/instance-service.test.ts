import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { after, before, beforeEach, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import type { Guard } from "../../core/ports/guard.js";
import { generateSshKeyPair } from "../../core/ssh/private-key.js";
import { openTestDatabase, type TestDatabase } from "../../test/fixtures/database.js";
import type { CertificateAuthorities } from "../ca/api.js";
import type { Access } from "../roles/api.js";
import type { Instance } from "./agent-identity.js";
import * as repository from "./identity-repository.js";
import { InstanceCertificateIssuer } from "./instance-certificates.js";
import { type CertificateOrder, InstanceService } from "./instance-service.js";
import { CreateAgentIdentities } from "./migrations/001-agent-identities.js";

const NAME = "github-deploy";
const HERE = "192.0.2.7";
const ELSEWHERE = "198.51.100.9";
let opened: TestDatabase;
let instances: InstanceService;
let lockedInstance = "";
let duringSignature: (() => Promise<unknown>) | null = null;
const guard: Guard = {
  refusal: ({ instance }) => (instance === lockedInstance ? { message: "locked", detail: "lock 1" } : null),
  onChange: () => () => {},
};

before(async () => {
  opened = await openTestDatabase({
    entities: repository.AGENT_IDENTITY_ENTITIES,
    migrations: [{ name: "001-agent-identities", class: CreateAgentIdentities }],
  });
  instances = new InstanceService({
    database: opened.database,
    clock: { now: () => new Date() },
    issuer: new InstanceCertificateIssuer(fakeAuthorities(), fakeAccess(), "test"),
    methods: {
      names: () => ["token"],
      all: () => [],
      get: () => ({ redeem: async (_tx, proof) => ({ roles: ["identity"], subject: Buffer.from(proof).toString() }) }),
    },
    guards: { all: () => [guard] },
    locks: null,
  });
});
after(() => opened.close());

beforeEach(async () => {
  lockedInstance = "";
  await opened.database.transaction(async (tx) => {
    await repository.deleteIdentity(tx.em, NAME);
    await repository.insertIdentity(tx.em, { name: NAME, roles: ["ci"], createdBy: "admin", createdAt: new Date() });
    for (const tokenId of ["one", "two"]) await repository.insertToken(tx.em, { tokenId, identity: NAME, instanceId: null });
  });
  opened.audits.length = 0;
});

test("gives the answer of a lost bootstrap again, and refuses other keys", async () => {
  const order = keys();
  const first = await bootstrap("one", order);
  assert.deepEqual(await bootstrap("one", order), first);
  await assert.rejects(bootstrap("one", keys()), (error) => isMezError(error, "JOIN_REFUSED"));
  assert.equal((await stored()).length, 1);
});

test("lets others write while it waits for a signature, and goes by what they wrote", { timeout: 120_000 }, async () => {
  const rolesNow = (roles: readonly string[]) => () =>
    opened.database.transaction(async ({ em }) => {
      await repository.deleteIdentity(em, NAME);
      await repository.insertIdentity(em, { name: NAME, roles: [...roles], createdBy: "admin", createdAt: new Date() });
      for (const tokenId of ["one", "two"]) await repository.insertToken(em, { tokenId, identity: NAME, instanceId: null });
    });
  duringSignature = rolesNow(["deploy"]);
  await bootstrap("one", keys());
  assert.deepEqual(opened.audits.at(-1)?.userRoles, ["deploy"]);
  duringSignature = () => opened.database.transaction(async ({ em }) => void (await repository.deleteIdentity(em, NAME)));
  await assert.rejects(bootstrap("two", keys()), (error) => isMezError(error, "JOIN_REFUSED"));
  assert.deepEqual(await stored(), []);
});

test("a token of something else makes no instance", async () => {
  await assert.rejects(bootstrap("of-a-node", keys()), (error) => isMezError(error, "JOIN_REFUSED"));
});

test("counts one generation on for each renewal with new keys", async () => {
  const { instanceId } = await bootstrap("one", keys());
  for (const generation of [1, 2, 3]) {
    const renewed = await instances.renew({ name: NAME, instance: instanceId, generation }, keys(), HERE);
    assert.equal(renewed.generation, generation + 1);
  }
  assert.deepEqual(
    (await stored()).map(({ generation, seenGeneration }) => [generation, seenGeneration]),
    [[4, 3]],
  );
});

test("gives the answer of a lost renewal again, as often as it is asked with the same keys", async () => {
  const { instanceId } = await bootstrap("one", keys());
  const order = keys();
  const presented = { name: NAME, instance: instanceId, generation: 1 };
  const first = await instances.renew(presented, order, HERE);
  for (const address of [HERE, ELSEWHERE]) assert.deepEqual(await instances.renew(presented, order, address), first);
  assert.deepEqual(
    (await stored()).map(({ lockReason }) => lockReason),
    [""],
  );
});

for (const [what, generation] of [
  ["the same generation again with other keys", 2],
  ["a generation long gone", 1],
] as const) {
  test(`locks one instance, and only that, for ${what}`, async () => {
    const { instanceId } = await bootstrap("one", keys());
    const sibling = await bootstrap("two", keys());
    for (const step of [1, 2]) await instances.renew({ name: NAME, instance: instanceId, generation: step }, keys(), HERE);
    await assert.rejects(
      instances.renew({ name: NAME, instance: instanceId, generation }, keys(), ELSEWHERE),
      (error) => isMezError(error, "ACCESS_DENIED") && /two holders of its certificate renewed it/.test(error.message),
    );
    const locked = (await stored()).filter(({ lockReason }) => lockReason !== "");
    assert.deepEqual(
      locked.map(({ id }) => id),
      [instanceId],
    );
    const copied = opened.audits.find(({ type }) => type === "agent_identity.copied");
    assert.deepEqual(copied?.metadata?.["addresses"], [HERE, ELSEWHERE]);
    assert.equal(opened.puts.findLast(({ key }) => key === instanceId)?.name, "machine-instances");
    await instances.renew({ name: NAME, instance: sibling.instanceId, generation: 1 }, keys(), HERE);
  });
}

test("goes on with a certificate that is ahead of a database put back to a backup, and still finds a copy of it", async () => {
  const { instanceId } = await bootstrap("one", keys());
  const ahead = { name: NAME, instance: instanceId, generation: 9 };
  const order = keys();
  const renewed = await instances.renew(ahead, order, HERE);
  assert.equal(renewed.generation, 10);
  assert.equal(opened.audits.at(-1)?.metadata?.["generation_in_database"], 1);
  assert.deepEqual(await instances.renew(ahead, order, HERE), renewed);
  for (const generation of [9, 8])
    await assert.rejects(instances.renew({ ...ahead, generation }, keys(), ELSEWHERE), (error) =>
      isMezError(error, "ACCESS_DENIED"),
    );
  await assert.rejects(instances.renew({ ...ahead, generation: 10 }, keys(), HERE), (error) =>
    isMezError(error, "ACCESS_DENIED"),
  );
});

test("a copy that renews first after the database was put back is found when the machine does", async () => {
  const { instanceId } = await bootstrap("one", keys());
  const presented = { name: NAME, instance: instanceId };
  // Stolen at 7; the machine has gone on to 9, and the database knows of neither.
  assert.equal((await instances.renew({ ...presented, generation: 7 }, keys(), ELSEWHERE)).generation, 8);
  assert.equal((await instances.renew({ ...presented, generation: 9 }, keys(), HERE)).generation, 10);
  await assert.rejects(instances.renew({ ...presented, generation: 8 }, keys(), ELSEWHERE), (error) =>
    isMezError(error, "ACCESS_DENIED"),
  );
  assert.notEqual((await stored())[0]?.lockReason, "");
});

test("of two holders that renew at once, one gets certificates and the other locks the instance", async () => {
  const { instanceId } = await bootstrap("one", keys());
  const presented = { name: NAME, instance: instanceId, generation: 1 };
  const results = await Promise.allSettled([
    instances.renew(presented, keys(), HERE),
    instances.renew(presented, keys(), ELSEWHERE),
  ]);
  assert.deepEqual(results.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  assert.notEqual((await stored())[0]?.lockReason, "");
});

test("an instance that was locked after its call was let in renews nothing, nor gets an answer that was lost", async () => {
  const [first, order] = [keys(), keys()];
  const { instanceId } = await bootstrap("one", first);
  const presented = { name: NAME, instance: instanceId, generation: 1 };
  const isRefused = (error: unknown): boolean => isMezError(error, "ACCESS_DENIED");
  lockedInstance = instanceId;
  await assert.rejects(bootstrap("one", first), isRefused);
  lockedInstance = "";
  await instances.renew(presented, order, HERE);
  lockedInstance = instanceId;
  await assert.rejects(instances.renew(presented, order, HERE), isRefused);
  await assert.rejects(instances.renew({ ...presented, generation: 2 }, keys(), HERE), isRefused);
  assert.equal((await stored())[0]?.generation, 2);
});

test("after a copy was found neither holder renews", async () => {
  const { instanceId } = await bootstrap("one", keys());
  const presented = { name: NAME, instance: instanceId, generation: 1 };
  await instances.renew(presented, keys(), HERE);
  await assert.rejects(instances.renew(presented, keys(), ELSEWHERE), (error) => isMezError(error, "ACCESS_DENIED"));
  await assert.rejects(instances.renew({ ...presented, generation: 2 }, keys(), HERE), (error) =>
    isMezError(error, "ACCESS_DENIED"),
  );
  assert.equal((await stored())[0]?.generation, 2);
});

test("takes the word of the newest certificate alone for what is in use", async () => {
  const { instanceId } = await bootstrap("one", keys());
  await instances.renew({ name: NAME, instance: instanceId, generation: 1 }, keys(), HERE);
  await instances.confirm({ name: NAME, instance: instanceId, generation: 1 }, HERE);
  assert.equal((await stored())[0]?.seenGeneration, 1);
  await instances.confirm({ name: NAME, instance: instanceId, generation: 2 }, HERE);
  assert.equal((await stored())[0]?.seenGeneration, 2);
});

test("an instance of an identity that was removed renews nothing", async () => {
  const { instanceId } = await bootstrap("one", keys());
  await opened.database.transaction((tx) => repository.deleteIdentity(tx.em, NAME));
  const presented = { name: NAME, instance: instanceId, generation: 1 };
  await assert.rejects(instances.renew(presented, keys(), HERE), (error) => isMezError(error, "UNAUTHENTICATED"));
  await assert.rejects(instances.confirm(presented, HERE), (error) => isMezError(error, "UNAUTHENTICATED"));
});

// --- internal ---

function bootstrap(token: string, order: CertificateOrder) {
  const bytes = Buffer.concat([order.sshPublicKey, order.x509PublicKey]);
  const call = { serverFingerprint: null, clientAddress: HERE };
  return instances.bootstrap({ method: "token", proof: Buffer.from(token), bytes, order, ...call });
}

function stored(): Promise<readonly Instance[]> {
  return opened.database.read((em) => repository.findInstances(em, NAME));
}

function keys(): CertificateOrder {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const x509PublicKey = publicKey.export({ format: "der", type: "spki" });
  return { sshPublicKey: generateSshKeyPair().publicKeyBlob, x509PublicKey, ttlSeconds: 0 };
}

function fakeAuthorities(): CertificateAuthorities {
  let serial = 0;
  const dates = { validFrom: new Date(), expiresAt: new Date(Date.now() + 3_600_000) };
  const ssh = async () => {
    const during = duringSignature;
    duringSignature = null;
    await during?.();
    return { blob: Buffer.from("certificate"), serial: String(++serial), ...dates };
  };
  const x509 = async () => ({ pem: "PEM", serial: String(++serial), ...dates });
  return {
    issueUserCertificate: ssh,
    issueHostCertificate: ssh,
    issueUserX509: x509,
    issueHostX509: x509,
    trustBundle: () => ({ sshPublicKeys: [], certificatesPem: [] }),
  };
}

function fakeAccess(): Access {
  const options = {
    maxSessionTtlSeconds: null,
    requireSessionMfa: "",
    deviceTrustMode: "",
    portForwarding: false,
    fileCopy: true,
  } as const;
  const no = { allowed: false, reason: "no", detail: "no" } as const;
  return {
    decide: () => no,
    decideReach: () => no,
    standing: () => null,
    isSuperseded: () => false,
    holdings: () => ({ roles: [], until: null }),
    wouldReach: () => false,
    visibleNodes: () => [],
    logins: () => ["deploy"],
    sessionOptions: () => options,
  };
}
