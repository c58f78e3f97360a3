import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createPublicKey, generateKeyPairSync, type JsonWebKey, verify, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { FakeKeyBackend } from "../../test/fakes/key-backend.js";
import { openTestDatabase, type TestDatabase } from "../../test/fixtures/database.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import type { X509SvidRequest } from "./api.js";
import { AuthorityEntity, AuthorityKeyEntity } from "./authority-repository.js";
import { createMissingAuthorities } from "./authority-setup.js";
import { KeyBackedAuthorities } from "./certificate-authorities.js";
import { certificatePin } from "./certificate-pin.js";
import { CreateCertificateAuthorities } from "./migrations/20260101000000-certificate-authorities.js";
import { SvidIssuer } from "./svid-issuer.js";
import { requireTrustDomain } from "./trust-domain.js";
import { certificatePem } from "./x509-certificate.js";

const NOW = new Date("2026-05-06T07:08:09.500Z");
const ID = "spiffe://prod.example.com/ns/eu/payments";
const clock = { now: () => new Date(NOW) };
const backend = new FakeKeyBackend();
const folder = mkdtempSync(join(tmpdir(), "mezite-svid-"));
let opened: TestDatabase;
let authorities: KeyBackedAuthorities;
let svids: SvidIssuer;

before(async () => {
  opened = await openTestDatabase({
    entities: [AuthorityEntity, AuthorityKeyEntity],
    migrations: [{ name: "20260101000000-certificate-authorities", class: CreateCertificateAuthorities }],
  });
  const setup = { database: opened.database, clock, backend, backendName: "fake" };
  await createMissingAuthorities({ ...setup, clusterName: "prod", trustDomain: "prod.example.com" });
  authorities = newAuthorities();
  await authorities.load();
  svids = new SvidIssuer({ authorities, clock, clusterName: "prod" });
});
after(async () => {
  await opened.close();
  rmSync(folder, { recursive: true });
});

test("an X.509-SVID is what the standard says, and openssl verifies it strictly", async () => {
  const { der, serial, expiresAt } = await svids.issueX509Svid(order({ dnsNames: ["payments.internal"] }));
  const certificate = new X509Certificate(der);
  assert.equal(certificate.subjectAltName, `DNS:payments.internal, URI:${ID}`);
  assert.equal(certificate.ca, false);
  assert.equal(certificate.serialNumber.toLowerCase(), serial);
  assert.deepEqual([certificate.validToDate, expiresAt], [new Date("2026-05-06T08:08:09Z"), new Date("2026-05-06T08:08:09Z")]);
  const [leaf, root] = [file("leaf.pem", certificatePem(der)), file("root.pem", svids.bundle().certificatesPem.join(""))];
  const text = execFileSync("openssl", ["x509", "-in", leaf, "-noout", "-text"], { encoding: "utf8" });
  assert.match(text, /Key Usage: critical\n +Digital Signature\n/);
  assert.match(text, /Extended Key Usage: \n +TLS Web Server Authentication, TLS Web Client Authentication\n/);
  assert.match(text, /Basic Constraints: critical\n +CA:FALSE\n/);
  for (const purpose of ["sslclient", "sslserver"]) {
    const time = String(Math.floor(NOW.getTime() / 1000) + 60);
    const flags = ["verify", "-x509_strict", "-purpose", purpose, "-attime", time, "-CAfile", root, leaf];
    assert.match(execFileSync("openssl", flags, { encoding: "utf8" }), /leaf\.pem: OK/);
  }
});

test("the SPIFFE CA names its trust domain and signs leaf certificates only", () => {
  const root = new X509Certificate(svids.bundle().certificatesPem[0] ?? "");
  assert.equal(root.subjectAltName, "URI:spiffe://prod.example.com");
  const text = execFileSync("openssl", ["x509", "-noout", "-text"], { input: root.toString(), encoding: "utf8" });
  assert.match(text, /Basic Constraints: critical\n +CA:TRUE, pathlen:0\n/);
  assert.match(text, /Key Usage: critical\n +Certificate Sign, CRL Sign\n/);
});

test("a JWT-SVID is verified with the published keys", async () => {
  const { token, expiresAt } = await svids.issueJwtSvid({
    ...{ spiffeId: ID, audiences: ["db", "cache"], issuer: "https://id.example.com", ttlSeconds: 300 },
  });
  const [header = "", claims = "", signature = ""] = token.split(".");
  const { kid, ...rest } = read(header);
  assert.deepEqual(rest, { alg: "ES256", typ: "JWT" });
  const iat = Math.floor(NOW.getTime() / 1000);
  const stated = { sub: ID, aud: ["db", "cache"], iat, exp: iat + 300, iss: "https://id.example.com" };
  assert.deepEqual(read(claims), stated);
  assert.deepEqual(expiresAt, new Date((iat + 300) * 1000));
  for (const [json, use] of [
    [svids.bundle().spiffe.jwksJson, "sig"],
    [svids.bundle().spiffe.bundleJson, "jwt-svid"],
  ] as const) {
    const { keys } = JSON.parse(json) as { readonly keys: readonly JsonWebKey[] };
    const jwk = keys.find((each) => each["kid"] === kid && each["use"] === use);
    const key = createPublicKey({ key: jwk ?? {}, format: "jwk" });
    const data = Buffer.from(`${header}.${claims}`);
    assert.ok(verify("sha256", data, { key, dsaEncoding: "ieee-p1363" }, Buffer.from(signature, "base64url")));
  }
});

test("the bundle holds the certificates and the keys, numbered", () => {
  const { bundleJson, sequence, trustDomain } = svids.bundle().spiffe;
  assert.equal(trustDomain, "prod.example.com");
  const bundle = JSON.parse(bundleJson) as { keys: JsonWebKey[]; spiffe_sequence: number; spiffe_refresh_hint: number };
  assert.equal(bundle.spiffe_sequence, sequence);
  assert.equal(bundle.spiffe_refresh_hint, 300);
  assert.deepEqual(
    bundle.keys.map((key) => [key["use"], key.kty, key.crv]),
    [
      ["x509-svid", "EC", "P-256"],
      ["jwt-svid", "EC", "P-256"],
    ],
  );
  const certificate = Buffer.from(String(bundle.keys[0]?.["x5c"]), "base64");
  assert.equal(certificatePin(certificate), certificatePin(svids.bundle().certificatesPem[0] ?? ""));
});

for (const [what, change] of [
  ["no time to live", { ttlSeconds: 0 }],
  ["more than 24 hours", { ttlSeconds: 86_401 }],
  ["a key that is none", { publicKeyDer: Buffer.from("key") }],
  ["a short RSA key", { publicKeyDer: spki(generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey) }],
  ["a DNS name that is none", { dnsNames: ["a b"] }],
] as const) {
  test(`refuses an X.509-SVID with ${what}`, async () => {
    await assert.rejects(svids.issueX509Svid(order(change)), (error) => isMezError(error, "INVALID_ARGUMENT"));
  });
}

test("believes no signature from outside that is wrong", async () => {
  const refused = (error: unknown) => isMezError(error, "KEY_BACKEND_UNAVAILABLE");
  backend.corruptNextSign();
  await assert.rejects(svids.issueX509Svid(order()), refused);
  backend.corruptNextSign();
  await assert.rejects(svids.issueJwtSvid({ spiffeId: ID, audiences: ["db"], issuer: null, ttlSeconds: 60 }), refused);
});

test("the trust domain that the CA was made for cannot be changed, and the SPIFFE CA signs nothing for SSH", async () => {
  requireTrustDomain("prod", "prod");
  assert.throws(
    () => requireTrustDomain("prod", "test"),
    (error) => isMezError(error, "CONFIG_INVALID") && /trust_domain: prod/.test(error.message),
  );
  const unready = new SvidIssuer({ authorities: newAuthorities(), clock, clusterName: "prod" });
  assert.throws(
    () => unready.bundle(),
    (error) => isMezError(error, "UNAVAILABLE"),
  );
  await assert.rejects(unready.issueX509Svid(order()), (error) => isMezError(error, "UNAVAILABLE"));
});

// --- internal ---

function newAuthorities(): KeyBackedAuthorities {
  const { database } = opened;
  return new KeyBackedAuthorities({ database, clock, logger: silentLogger, clusterName: "prod", backendOf: () => backend });
}

function order(change: Partial<X509SvidRequest> = {}): X509SvidRequest {
  const publicKeyDer = spki(generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey);
  return { publicKeyDer, spiffeId: ID, dnsNames: [], ttlSeconds: 3600, ...change };
}

function spki(key: { export(options: { format: "der"; type: "spki" }): Buffer }): Buffer {
  return key.export({ format: "der", type: "spki" });
}

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function read(part: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(part, "base64url").toString()) as Record<string, unknown>;
}
