import assert from "node:assert/strict";
import { generateKeyPairSync, verify, X509Certificate } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Secret } from "../../core/plugin/secret.js";
import type { KeyBackend } from "../../core/ports/key-backend.js";
import { parseCertificate } from "../../core/ssh/certificate.js";
import { verifyFileSignature } from "../../core/ssh/file-signature.js";
import { believedKeys } from "../../core/ssh/former-key.js";
import { publicKeyOf } from "../../core/ssh/public-key.js";
import { systemClock } from "../../core/time/clock.js";
import type { AuthorityType } from "../../plugins/ca/api.js";
import { AuthorityDirectory } from "../../plugins/ca/authority-directory.js";
import { AuthorityKeyMaker } from "../../plugins/ca/authority-keys.js";
import { AuthorityEntity, AuthorityKeyEntity, IssuedCertificatesEntity } from "../../plugins/ca/authority-repository.js";
import { createMissingAuthorities } from "../../plugins/ca/authority-setup.js";
import { KeyBackedAuthorities } from "../../plugins/ca/certificate-authorities.js";
import { CertificateLedger } from "../../plugins/ca/certificate-ledger.js";
import { FormerKeyEntity } from "../../plugins/ca/former-key-repository.js";
import { HostCaSeals } from "../../plugins/ca/host-seals.js";
import { KeyDisposal } from "../../plugins/ca/key-disposal.js";
import { CreateCertificateAuthorities } from "../../plugins/ca/migrations/20260101000000-certificate-authorities.js";
import { CreateIssuedCertificates } from "../../plugins/ca/migrations/20260401000000-issued-certificates.js";
import { CreateFormerKeys } from "../../plugins/ca/migrations/20260501000000-former-keys.js";
import { Rotation, type RotationAuthor } from "../../plugins/ca/rotation.js";
import { SvidIssuer } from "../../plugins/ca/svid-issuer.js";
import { TrustFollowerRegistry } from "../../plugins/ca/trust-followers.js";
import { Pkcs11KeyBackend } from "../../plugins/keys/pkcs11/pkcs11-key-backend.js";
import { SessionPool } from "../../plugins/keys/pkcs11/session-pool.js";
import { KeyProtection } from "../../plugins/keys/software/key-protection.js";
import { CreateSoftwareKeys } from "../../plugins/keys/software/migrations/20260101000000-software-keys.js";
import { SoftwareKeyBackend } from "../../plugins/keys/software/software-key-backend.js";
import { KeyProtectionEntity, SoftwareKeyEntity } from "../../plugins/keys/software/software-key-repository.js";
import { openTestDatabase } from "../fixtures/database.js";
import { silentLogger } from "../fixtures/silent-logger.js";
import { needsPeers } from "../peers/require-peer.js";
import { makeSoftHsm } from "../peers/softhsm.js";

const AUTHOR: RotationAuthor = {
  caller: {
    ...{ kind: "user", name: "eve", roles: ["admin"], sessionId: "s-1", mustChangePassword: false },
    traits: { internal: {}, external: {} },
  },
  clientAddress: "192.0.2.7",
};
const PHASES = ["init", "update-clients", "update-servers", "standby"] as const;

for (const type of ["user", "host", "spiffe"] as const) {
  test(`the ${type} CA moves from software into a token and back`, needsPeers("softhsm2-util", "libsofthsm2"), async (t) => {
    const bed = await cluster(t);
    await bed.issues(type);
    for (const [home, name, inToken] of [
      ["software", "pkcs11", 4],
      ["pkcs11", "software", 0],
    ] as const) {
      await bed.rotation.begin(type, AUTHOR, name);
      assert.deepEqual(await bed.keysIn(type), [home, name]);
      for (const expectedPhase of PHASES) {
        await bed.issues(type);
        await bed.rotation.advance({ type, expectedPhase, force: true }, AUTHOR);
      }
      await bed.issues(type);
      assert.deepEqual(await bed.keysIn(type), [name]);
      assert.equal(bed.tokenObjects(), inToken, "two pairs in the token, or none");
    }
    const started = bed.audits().filter(({ type: event }) => event === "ca.rotation.started");
    assert.deepEqual(
      started.map(({ metadata }) => metadata?.key_backend),
      ["pkcs11", "software"],
    );
  });
}

test(
  "what the Host CA sealed stays verifiable over keys of other kinds in other places",
  needsPeers("softhsm2-util", "libsofthsm2"),
  async (t) => {
    const { rotation, seals } = await cluster(t);
    const message = Buffer.from("what was said");
    const made = [await seals.seal("recording@mezite", message)];
    for (const name of ["pkcs11", "software"]) {
      await rotation.begin("host", AUTHOR, name);
      for (const expectedPhase of PHASES) await rotation.advance({ type: "host", expectedPhase, force: true }, AUTHOR);
      made.push(await seals.seal("recording@mezite", message));
    }
    const { trusted, former } = await seals.keys();
    const believed = believedKeys(trusted, former);
    for (const seal of made) assert.ok(believed.has(verifyFileSignature(seal, "recording@mezite", message).toString("base64")));
  },
);

test("a rotation that is taken back leaves nothing in the token", needsPeers("softhsm2-util", "libsofthsm2"), async (t) => {
  const bed = await cluster(t);
  await bed.rotation.begin("user", AUTHOR, "pkcs11");
  assert.equal(bed.tokenObjects(), 4);
  await bed.rotation.rollback({ type: "user", expectedPhase: "init", force: true }, AUTHOR);
  assert.deepEqual([bed.tokenObjects(), await bed.keysIn("user")], [0, ["software"]]);
});

// --- internal ---

/** Authorities whose keys begin in software, with a token beside. */
async function cluster(t: TestContext) {
  const hsm = makeSoftHsm({ ca: "1111" });
  const folder = mkdtempSync(join(tmpdir(), "mezite-backends-"));
  const opened = await openTestDatabase({
    entities: [
      ...[AuthorityEntity, AuthorityKeyEntity, IssuedCertificatesEntity, FormerKeyEntity],
      ...[KeyProtectionEntity, SoftwareKeyEntity],
    ],
    migrations: [
      { name: "20260101000000-software-keys", class: CreateSoftwareKeys },
      { name: "20260101000000-certificate-authorities", class: CreateCertificateAuthorities },
      { name: "20260401000000-issued-certificates", class: CreateIssuedCertificates },
      { name: "20260501000000-former-keys", class: CreateFormerKeys },
    ],
  });
  const { database } = opened;
  const protection = new KeyProtection(database, { passphrase: null, keyFile: join(folder, "ca.key") });
  const token = { module: hsm.module, label: "ca", pin: new Secret("1111"), sessions: 2, timeoutMs: 20_000 };
  const pool = new SessionPool(token, silentLogger);
  await pool.start();
  const backends: Readonly<Record<string, KeyBackend>> = {
    software: new SoftwareKeyBackend(database, protection, systemClock),
    pkcs11: new Pkcs11KeyBackend([pool]),
  };
  const backendOf = (name: string): KeyBackend => {
    const backend = backends[name];
    assert.ok(backend !== undefined);
    return backend;
  };
  const optionsFor = (backendName: string) => ({
    ...{ clock: systemClock, clusterName: "prod", backendName, backend: backendOf(backendName) },
    sshAlgorithm: backendName === "pkcs11" ? ("ecdsa-p256" as const) : ("ed25519" as const),
  });
  await createMissingAuthorities({ ...optionsFor("software"), database });
  const ledger = new CertificateLedger(database, systemClock, silentLogger);
  const followers = new TrustFollowerRegistry();
  const disposal = new KeyDisposal({ database, logger: silentLogger, backendOf });
  const authorities = new KeyBackedAuthorities({
    database,
    backendOf,
    clock: systemClock,
    logger: silentLogger,
    clusterName: "prod",
  });
  await authorities.load();
  const directory = new AuthorityDirectory(database, ledger, followers);
  const svids = new SvidIssuer({ authorities, clock: systemClock, clusterName: "prod" });
  t.after(async () => {
    await disposal.dispose();
    await pool.close(1_000);
    await opened.close();
    rmSync(folder, { recursive: true });
    hsm.close();
  });
  const rotation = new Rotation({
    ...{ database, ledger, followers, backendOf, clock: systemClock },
    maker: (name) => new AuthorityKeyMaker(optionsFor(name ?? "software")),
    onMoved: async () => {
      await authorities.load();
      await disposal.run();
    },
  });
  return {
    rotation,
    seals: new HostCaSeals(database, authorities),
    audits: () => opened.audits,
    keysIn: async (type: AuthorityType) =>
      (await directory.status()).find((status) => status.type === type)?.keys.map(({ keyBackend }) => keyBackend),
    tokenObjects: () =>
      readdirSync(hsm.folder, { recursive: true }).filter(
        (file) => /\.object$/.test(String(file)) && !/token\.object$/.test(String(file)),
      ).length,
    /** Asks for everything that the authority signs, and verifies it with what is trusted. */
    async issues(type: AuthorityType): Promise<void> {
      const publicKeyDer = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "der", type: "spki" });
      const { sshPublicKeys, certificatesPem, spiffe } = authorities.trustBundle(type);
      const x509 = { publicKeyDer, commonName: "eve", ttlSeconds: 60 };
      if (spiffe !== undefined) {
        const { der } = await svids.issueX509Svid({ spiffeId: "spiffe://prod/web", publicKeyDer, dnsNames: [], ttlSeconds: 60 });
        assert.ok(isIssuedBy(new X509Certificate(der), certificatesPem));
        const { token: jwt } = await svids.issueJwtSvid({
          spiffeId: "spiffe://prod/web",
          audiences: ["db"],
          issuer: null,
          ttlSeconds: 60,
        });
        const [head = "", body = "", signature = ""] = jwt.split(".");
        const signed = Buffer.from(`${head}.${body}`);
        const isTrue = ({ publicKey }: { readonly publicKey: string }): boolean =>
          verify(
            "sha256",
            signed,
            { key: Buffer.from(publicKey, "base64"), format: "der", type: "spki", dsaEncoding: "ieee-p1363" },
            Buffer.from(signature, "base64url"),
          );
        assert.ok(spiffe.jwtAuthorities.some(isTrue));
        return;
      }
      const request = {
        keyId: "eve",
        principals: ["eve"],
        ttlSeconds: 60,
        publicKeyBlob: publicKeyOf(generateKeyPairSync("ed25519").publicKey).blob,
      };
      const { blob } =
        type === "user" ? await authorities.issueUserCertificate(request) : await authorities.issueHostCertificate(request);
      assert.ok(sshPublicKeys.includes(parseCertificate(blob).authorityBlob.toString("base64")));
      const { pem } = type === "user" ? await authorities.issueUserX509(x509) : await authorities.issueHostX509(x509);
      assert.ok(isIssuedBy(new X509Certificate(pem), certificatesPem));
    },
  };
}

function isIssuedBy(certificate: X509Certificate, authorities: readonly string[]): boolean {
  return authorities.some((pem) => certificate.verify(new X509Certificate(pem).publicKey));
}
