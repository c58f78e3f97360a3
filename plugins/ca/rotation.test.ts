import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { type TestContext, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { parseCertificate } from "../../core/ssh/certificate.js";
import { verifyFileSignature } from "../../core/ssh/file-signature.js";
import { believedKeys } from "../../core/ssh/former-key.js";
import { publicKeyOf } from "../../core/ssh/public-key.js";
import { systemClock } from "../../core/time/clock.js";
import { FakeKeyBackend } from "../../test/fakes/key-backend.js";
import { openTestDatabase } from "../../test/fixtures/database.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import type { AuthorityType, TrustReport } from "./api.js";
import { AuthorityDirectory } from "./authority-directory.js";
import { AuthorityKeyMaker } from "./authority-keys.js";
import { AuthorityEntity, AuthorityKeyEntity, IssuedCertificatesEntity } from "./authority-repository.js";
import { createMissingAuthorities } from "./authority-setup.js";
import { KeyBackedAuthorities } from "./certificate-authorities.js";
import { CertificateLedger } from "./certificate-ledger.js";
import { FormerKeyEntity } from "./former-key-repository.js";
import { HostCaSeals } from "./host-seals.js";
import { KeyDisposal } from "./key-disposal.js";
import { CreateCertificateAuthorities } from "./migrations/20260101000000-certificate-authorities.js";
import { CreateIssuedCertificates } from "./migrations/20260401000000-issued-certificates.js";
import { CreateFormerKeys } from "./migrations/20260501000000-former-keys.js";
import { Rotation, type RotationAuthor } from "./rotation.js";
import { SvidIssuer } from "./svid-issuer.js";
import { TrustFollowerRegistry } from "./trust-followers.js";

const AUTHOR: RotationAuthor = {
  caller: {
    kind: "user",
    name: "eve",
    roles: ["admin"],
    traits: { internal: {}, external: {} },
    sessionId: "s-1",
    mustChangePassword: false,
  },
  clientAddress: "192.0.2.7",
};

for (const [type, signers] of [
  ["user", ["old", "new", "new", "new", "new"]],
  ["host", ["old", "old", "new", "new", "new"]],
  ["spiffe", ["old", "new", "new", "new", "new"]],
] as const) {
  test(`a rotation of the ${type} CA signs and trusts as the table says, and destroys the old key`, async (t) => {
    const bed = await cluster(t);
    const [old] = bed.trusted(type);
    await bed.rotation.begin(type, AUTHOR);
    const fresh = bed.trusted(type).find((key) => key !== old);
    const seen = [await bed.signer(type)];
    for (const phase of ["init", "update-clients", "update-servers", "standby"]) {
      assert.deepEqual(new Set(bed.trusted(type)), new Set([old, fresh]), phase);
      await bed.rotation.advance({ type, expectedPhase: phase, force: true }, AUTHOR);
      seen.push(await bed.signer(type));
    }
    assert.deepEqual(
      seen,
      signers.map((age) => (age === "old" ? old : fresh)),
    );
    assert.deepEqual(bed.trusted(type), [fresh]);
    assert.equal(await bed.phase(type), "complete");
    assert.equal(bed.backend.size, 6, "two keys for each authority");
    assert.deepEqual(
      bed.opened.audits
        .filter(({ type: event }) => event.startsWith("ca.rotation"))
        .map(({ type: event }) => event.split(".")[2]),
      ["started", "advanced", "advanced", "advanced", "completed"],
    );
  });

  for (const steps of [0, 1, 2, 3]) {
    test(`the ${type} CA comes back from phase ${steps + 1} to where it was`, async (t) => {
      const bed = await cluster(t);
      const before = bed.trusted(type);
      const phases = ["init", "update-clients", "update-servers", "standby"];
      await bed.rotation.begin(type, AUTHOR);
      for (const phase of phases.slice(0, steps)) await bed.rotation.advance({ type, expectedPhase: phase, force: true }, AUTHOR);
      for (const phase of phases.slice(0, steps + 1).reverse()) {
        assert.equal(await bed.phase(type), phase);
        await bed.rotation.rollback({ type, expectedPhase: phase, force: true }, AUTHOR);
      }
      assert.equal(await bed.phase(type), "none");
      assert.deepEqual(bed.trusted(type), before);
      assert.equal(await bed.signer(type), before[0]);
      assert.equal(bed.backend.size, 6, "the new keys are destroyed");
    });
  }
}

test("refuses to move a rotation that is not there, and to begin a second", async (t) => {
  const bed = await cluster(t);
  const step = (expectedPhase: string) => ({ type: "user", expectedPhase, force: false }) as const;
  await rejects(bed.rotation.advance(step("none"), AUTHOR), /^no rotation of the user CA is under way; begin one/);
  await rejects(bed.rotation.rollback(step("none"), AUTHOR), /^no rotation of the user CA is under way/);
  await bed.rotation.begin("user", AUTHOR);
  await rejects(bed.rotation.begin("user", AUTHOR), /^the user CA is being rotated already, in phase init/);
  assert.equal(bed.backend.size, 8, "the keys of the second are not left behind");
  for (const phase of ["init", "update-clients", "update-servers", "standby"]) await bed.rotation.advance(step(phase), AUTHOR);
  await rejects(bed.rotation.advance(step("complete"), AUTHOR), /^the rotation of the user CA is complete; begin one/);
  await rejects(bed.rotation.rollback(step("complete"), AUTHOR), /no way back$/);
  await bed.rotation.begin("user", AUTHOR);
  assert.equal(await bed.phase("user"), "init");
});

test("goes one phase on when two administrators advance at once, and begins once when two begin", async (t) => {
  const bed = await cluster(t);
  const begun = await Promise.allSettled([bed.rotation.begin("host", AUTHOR), bed.rotation.begin("host", AUTHOR)]);
  assert.deepEqual(begun.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  assert.equal(bed.backend.size, 8);
  const advance = () => bed.rotation.advance({ type: "host", expectedPhase: "init", force: true }, AUTHOR);
  const moved = await Promise.allSettled([advance(), advance()]);
  assert.deepEqual(moved.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  assert.equal(await bed.phase("host"), "update-clients");
  await rejects(advance(), /is in phase update-clients by now, not init: somebody else moved it/);
});

test("names those who have not followed, and goes on without them only with force", async (t) => {
  const bed = await cluster(t);
  let report: TrustReport | null = null;
  bed.followers.add(() => [{ kind: "node", name: "db-02", report }]);
  await bed.rotation.begin("host", AUTHOR);
  const advance = (expectedPhase: string, force = false) => bed.rotation.advance({ type: "host", expectedPhase, force }, AUTHOR);
  const notReady = (attempt: Promise<void>, words: RegExp) =>
    assert.rejects(attempt, (error) => isMezError(error, "ROTATION_NOT_READY") && words.test(error.message));
  const [old = "", fresh = ""] = bed.fingerprints("host");

  await notReady(advance("init"), /node db-02 has not been heard of; wait, or add --force$/);
  report = { trusted: { host: [old] }, certificateAuthority: old };
  await notReady(advance("init"), /node db-02 has not taken the trust bundle/);
  report = { trusted: { host: [old, fresh] }, certificateAuthority: old };
  await advance("init");
  await advance("update-clients");
  await notReady(advance("update-servers"), /node db-02 shows a certificate of the key that does not sign now/);
  await advance("update-servers", true);
  assert.match(String(bed.opened.audits.at(-1)?.metadata?.["forced"]), /db-02/);
  report = { ...report, certificateAuthority: fresh };
  await advance("standby");
  assert.equal(await bed.phase("host"), "complete");
});

test("goes back without waiting for anybody while both keys stay trusted", async (t) => {
  const bed = await cluster(t);
  bed.followers.add(() => [{ kind: "node", name: "db-02", report: null }]);
  await bed.rotation.begin("host", AUTHOR);
  await bed.rotation.advance({ type: "host", expectedPhase: "init", force: true }, AUTHOR);
  await bed.rotation.rollback({ type: "host", expectedPhase: "update-clients", force: false }, AUTHOR);
  assert.equal(await bed.phase("host"), "init");
});

test("counts the certificates that end with a key, and asks before it drops one that has any", async (t) => {
  const bed = await cluster(t);
  await bed.issue("user");
  await bed.issue("user");
  await bed.rotation.begin("user", AUTHOR);
  const move = (way: "advance" | "rollback", expectedPhase: string) =>
    bed.rotation[way]({ type: "user", expectedPhase, force: false }, AUTHOR);
  for (const phase of ["init", "update-clients", "update-servers"]) await move("advance", phase);
  await bed.issue("user");
  const status = (await bed.directory.status()).find(({ type }) => type === "user");
  assert.deepEqual(
    status?.keys.map(({ state, valid }) => [state, valid.count]),
    [
      ["active", 1],
      ["trusted", 2],
    ],
  );
  await assert.rejects(move("advance", "standby"), (error) => {
    assert.ok(isMezError(error, "ROTATION_NOT_READY"));
    assert.match(error.message, /2 of its certificates are valid until \S+ at the latest, and would be refused/);
    return true;
  });
  for (const phase of ["standby", "update-servers", "update-clients"]) await move("rollback", phase);
  await assert.rejects(move("rollback", "init"), /from init to none yet: 1 of its certificates/);
});

test("counts on after a restart", async (t) => {
  const bed = await cluster(t);
  await bed.issue("user");
  await bed.ledger.save();
  const next = new CertificateLedger(bed.opened.database, systemClock, silentLogger);
  await next.start();
  next.note("user", 1, new Date(Date.now() + 3_600_000));
  assert.equal(next.valid("user", 1).count, 2);
  await next.dispose();
});

test("counts what several servers issue", async (t) => {
  const bed = await cluster(t);
  const other = new CertificateLedger(bed.opened.database, systemClock, silentLogger);
  await other.start();
  await bed.issue("user");
  for (let n = 0; n < 2; n += 1) other.note("user", 1, new Date(Date.now() + 3_600_000));
  for (const ledger of [bed.ledger, other, bed.ledger]) await ledger.save();
  assert.deepEqual([bed.ledger.valid("user", 1).count, other.valid("user", 1).count], [3, 3]);
  await other.dispose();
});

test("destroys a retired key later when its backend fails", async (t) => {
  const bed = await cluster(t);
  await bed.rotation.begin("user", AUTHOR);
  const destroy = bed.backend.destroy.bind(bed.backend);
  bed.backend.destroy = () => Promise.reject(new Error("the session with the HSM is lost"));
  await bed.rotation.rollback({ type: "user", expectedPhase: "init", force: false }, AUTHOR);
  assert.equal(await bed.phase("user"), "none");
  assert.equal(bed.backend.size, 8);
  bed.backend.destroy = destroy;
  await bed.disposal.run();
  assert.equal(bed.backend.size, 6);
});

test("what the Host CA sealed is verifiable after any number of rotations, and after one that was taken back", async (t) => {
  const bed = await cluster(t);
  const message = Buffer.from("what was said");
  const seals = [await bed.seals.seal("recording@mezite", message)];
  for (const way of ["advance", "rollback", "advance"] as const) {
    await bed.rotation.begin("host", AUTHOR);
    for (const phase of ["init", "update-clients"])
      await bed.rotation.advance({ type: "host", expectedPhase: phase, force: true }, AUTHOR);
    seals.push(await bed.seals.seal("recording@mezite", message));
    const rest = way === "advance" ? ["update-servers", "standby"] : ["update-servers", "update-clients", "init"];
    for (const phase of rest) await bed.rotation[way]({ type: "host", expectedPhase: phase, force: true }, AUTHOR);
  }
  const { trusted, former } = await bed.seals.keys();
  assert.deepEqual([trusted.length, former.length, bed.backend.size], [1, 3, 6]);
  const believed = believedKeys(trusted, former);
  for (const seal of seals) assert.ok(believed.has(verifyFileSignature(seal, "recording@mezite", message).toString("base64")));
  assert.equal(new Set(seals).size, 4);
});

test("a step that would drop a key of the Host CA waits until its successor can vouch for it", async (t) => {
  const bed = await cluster(t);
  await bed.rotation.begin("host", AUTHOR);
  for (const expectedPhase of ["init", "update-clients", "update-servers"])
    await bed.rotation.advance({ type: "host", expectedPhase, force: true }, AUTHOR);
  const last = () => bed.rotation.advance({ type: "host", expectedPhase: "standby", force: true }, AUTHOR);
  bed.backend.failNextSign("KEY_BACKEND_UNAVAILABLE");
  await assert.rejects(last(), (error) => isMezError(error, "KEY_BACKEND_UNAVAILABLE"));
  assert.equal(await bed.phase("host"), "standby");
  await last();
  assert.equal((await bed.seals.keys()).former.length, 1);
});

// --- internal ---

async function rejects(attempt: Promise<void>, words: RegExp): Promise<void> {
  await assert.rejects(attempt, (error) => {
    assert.ok(isMezError(error, "CONFLICT"));
    assert.match(error.message, words);
    return true;
  });
}

/** The `kid` of the tokens that are signed now; X.509-SVIDs come from the certificate at the same place of the bundle. */
async function svidSigner(svids: SvidIssuer): Promise<string> {
  const publicKeyDer = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "der", type: "spki" });
  const common = { spiffeId: "spiffe://prod/web", ttlSeconds: 60 };
  const { der } = await svids.issueX509Svid({ ...common, publicKeyDer, dnsNames: [] });
  const { token } = await svids.issueJwtSvid({ ...common, audiences: ["db"], issuer: null });
  const { kid } = JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString()) as { readonly kid: string };
  const { certificatesPem, spiffe } = svids.bundle();
  const at = certificatesPem.findIndex((pem) => new X509Certificate(der).verify(new X509Certificate(pem).publicKey));
  assert.equal(spiffe.jwtAuthorities[at]?.keyId, kid);
  return kid;
}

/** Authorities with a rotation over them, without the rest of a cluster. */
async function cluster(t: TestContext) {
  const opened = await openTestDatabase({
    entities: [AuthorityEntity, AuthorityKeyEntity, IssuedCertificatesEntity, FormerKeyEntity],
    migrations: [
      { name: "20260101000000-certificate-authorities", class: CreateCertificateAuthorities },
      { name: "20260401000000-issued-certificates", class: CreateIssuedCertificates },
      { name: "20260501000000-former-keys", class: CreateFormerKeys },
    ],
  });
  t.after(() => opened.close());
  const backend = new FakeKeyBackend();
  const { database } = opened;
  const keyOptions = { clock: systemClock, clusterName: "prod", backendName: "fake", backend };
  await createMissingAuthorities({ ...keyOptions, database });
  const backendOf = () => backend;
  const ledger = new CertificateLedger(database, systemClock, silentLogger);
  const followers = new TrustFollowerRegistry();
  const disposal = new KeyDisposal({ database, logger: silentLogger, backendOf });
  t.after(() => disposal.dispose());
  const authorities = new KeyBackedAuthorities({
    ...{ database, backendOf, clock: systemClock, logger: silentLogger, clusterName: "prod" },
    onIssued: (type, generation, expiresAt) => ledger.note(type, generation, expiresAt),
  });
  await authorities.load();
  const rotation = new Rotation({
    ...{ database, ledger, followers, backendOf, clock: systemClock, maker: () => new AuthorityKeyMaker(keyOptions) },
    onMoved: async () => {
      await authorities.load();
      await disposal.run();
    },
  });
  const svids = new SvidIssuer({ authorities, clock: systemClock, clusterName: "prod" });
  const directory = new AuthorityDirectory(database, ledger, followers);
  const issue = async (type: AuthorityType): Promise<string> => {
    const request = {
      keyId: "eve",
      principals: ["eve"],
      ttlSeconds: 3600,
      publicKeyBlob: publicKeyOf(generateKeyPairSync("ed25519").publicKey).blob,
    };
    const { blob } = await authorities[type === "user" ? "issueUserCertificate" : "issueHostCertificate"](request);
    return parseCertificate(blob).authorityBlob.toString("base64");
  };
  return {
    ...{ opened, backend, ledger, followers, disposal, rotation, directory, issue },
    seals: new HostCaSeals(database, authorities),
    svids,
    signer: (type: AuthorityType) => (type === "spiffe" ? svidSigner(svids) : issue(type)),
    trusted: (type: AuthorityType) => {
      const { sshPublicKeys, spiffe } = authorities.trustBundle(type);
      return spiffe === undefined ? sshPublicKeys : spiffe.jwtAuthorities.map(({ keyId }) => keyId);
    },
    fingerprints: (type: AuthorityType) =>
      authorities.trustBundle(type).certificatesPem.map((pem) => new X509Certificate(pem).fingerprint256),
    phase: async (type: AuthorityType) => (await directory.status()).find((status) => status.type === type)?.phase,
  };
}
