import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { after, before, beforeEach, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { CollectionRegistry, kindId } from "../../core/events/collections.js";
import { FakeKeyBackend } from "../../test/fakes/key-backend.js";
import { openTestDatabase, type TestDatabase } from "../../test/fixtures/database.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { AuthorityEntity, AuthorityKeyEntity } from "../ca/authority-repository.js";
import { createMissingAuthorities } from "../ca/authority-setup.js";
import { KeyBackedAuthorities } from "../ca/certificate-authorities.js";
import { CreateCertificateAuthorities } from "../ca/migrations/20260101000000-certificate-authorities.js";
import { type Access, MACHINES_COLLECTION } from "../roles/api.js";
import { instanceUri } from "./agent-identity.js";
import { IdentityAuthenticator } from "./identity-authenticator.js";

const START = Date.parse("2026-03-01T12:00:00Z");
const CALLER = {
  ...{ kind: "agent_identity", name: "ci", instance: "0197", generation: 7 },
  ...{ roles: ["deployer"], isSuperseded: false },
};
const clock = { time: START, now: () => new Date(clock.time) };
const backend = new FakeKeyBackend();
let opened: TestDatabase;
let authorities: KeyBackedAuthorities;
let trusted: readonly string[];
let registry: CollectionRegistry;
let standing: string | null;
let authenticator: IdentityAuthenticator;

before(async () => {
  opened = await openTestDatabase({
    entities: [AuthorityEntity, AuthorityKeyEntity],
    migrations: [{ name: "20260101000000-certificate-authorities", class: CreateCertificateAuthorities }],
  });
  const setup = { database: opened.database, clock, backend, backendName: "fake" };
  await createMissingAuthorities({ ...setup, clusterName: "test", trustDomain: "test" });
  const common = { database: opened.database, clock, logger: silentLogger, clusterName: "test" };
  authorities = new KeyBackedAuthorities({ ...common, backendOf: () => backend });
  await authorities.load();
});
after(() => opened.close());

beforeEach(() => {
  clock.time = START;
  trusted = authorities.trustBundle("user").certificatesPem;
  registry = new CollectionRegistry();
  registry.apply([{ kind: kindId(MACHINES_COLLECTION), key: "identity/ci", value: { roles: ["deployer"] } }]);
  standing = null;
  const access = { standing: () => standing, isSuperseded: (_id: string, generation: number) => generation < 7 };
  authenticator = new IdentityAuthenticator({
    authorities: { trustBundle: () => ({ sshPublicKeys: [], certificatesPem: trusted }) },
    machines: registry.of(MACHINES_COLLECTION),
    access: access as unknown as Access,
    ...{ guards: { all: () => [] }, clock, clusterName: "test" },
  });
});

test("knows the instance and its generation by the certificate, and whether a newer one is in use", async () => {
  for (const generation of [6, 7])
    assert.deepEqual(await presented(await certificate(generation)), { ...CALLER, generation, isSuperseded: generation < 7 });
});

test("on a connection that it knows looks at what may have changed, each time", async () => {
  const known = await certificate(7);
  assert.notEqual(await presented(known), null);
  standing = "locked";
  await assert.rejects(presented(known), (error) => isMezError(error, "ACCESS_DENIED"));
  standing = null;
  registry.apply([{ kind: kindId(MACHINES_COLLECTION), key: "identity/ci", value: { roles: ["reader"] } }]);
  assert.deepEqual(await presented(known), { ...CALLER, roles: ["reader"] });
  registry.apply([{ kind: kindId(MACHINES_COLLECTION), key: "identity/ci", value: undefined }]);
  await assert.rejects(presented(known), (error) => isMezError(error, "UNAUTHENTICATED") && /deleted/.test(error.message));
  clock.time += 3_700_000;
  await assert.rejects(presented(known), (error) => isMezError(error, "UNAUTHENTICATED") && /expired/.test(error.message));
});

test("knows no certificate of a key that is trusted no more, also on a connection that it knows", async () => {
  const known = await certificate(7);
  assert.notEqual(await presented(known), null);
  trusted = [];
  assert.equal(await presented(known), null);
  trusted = [...authorities.trustBundle("user").certificatesPem];
  assert.notEqual(await presented(known), null);
});

for (const [what, uris] of [
  ["another cluster", [`${instanceUri("other", "ci", "0197")}/7`]],
  ["no generation", [instanceUri("test", "ci", "0197")]],
  ["something behind the generation", [`${instanceUri("test", "ci", "0197")}/7/8`]],
  ["no name at all", []],
] as const) {
  test(`knows no certificate with ${what}`, async () => {
    assert.equal(await presented(await certificate(7, uris)), null);
  });
}

test("leaves a call with a session to others", async () => {
  assert.equal(await presented(await certificate(7), "session"), null);
});

// --- internal ---

async function presented(foreignCertificate: Buffer, bearerToken: string | null = null) {
  return authenticator.authenticate({ bearerToken, clientCertificate: null, foreignCertificate, clientAddress: "192.0.2.7" });
}

async function certificate(generation: number, uris?: readonly string[]): Promise<Buffer> {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const own = instanceUri("test", "ci", "0197");
  const { pem } = await authorities.issueUserX509({
    publicKeyDer: publicKey.export({ format: "der", type: "spki" }),
    commonName: "identity/ci",
    organization: "mezite:agent-identity",
    uris: [...(uris ?? [own, `${own}/${generation}`])],
    ttlSeconds: 3600,
  });
  return new X509Certificate(pem).raw;
}
