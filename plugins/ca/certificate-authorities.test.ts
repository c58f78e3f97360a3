import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, generateKeyPairSync, type KeyObject, X509Certificate as ParsedCertificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { X509Certificate } from "@peculiar/x509";
import { isMezError } from "../../core/errors/error.js";
import { parseCertificate } from "../../core/ssh/certificate.js";
import { publicKeyOf } from "../../core/ssh/public-key.js";
import { FakeKeyBackend } from "../../test/fakes/key-backend.js";
import { openTestDatabase, type TestDatabase } from "../../test/fixtures/database.js";
import type { SshUserCertificateRequest, X509CertificateRequest } from "./api.js";
import { AuthorityEntity, AuthorityKeyEntity } from "./authority-repository.js";
import { createMissingAuthorities } from "./authority-setup.js";
import { KeyBackedAuthorities } from "./certificate-authorities.js";
import { certificatePin } from "./certificate-pin.js";
import { CreateCertificateAuthorities } from "./migrations/20260101000000-certificate-authorities.js";

const NOW = new Date("2026-05-06T07:08:09.500Z");
const clock = { now: () => new Date(NOW) };
const backend = new FakeKeyBackend();
const folder = mkdtempSync(join(tmpdir(), "mezite-ca-"));
let opened: TestDatabase;
let authorities: KeyBackedAuthorities;

before(async () => {
  opened = await openTestDatabase({
    entities: [AuthorityEntity, AuthorityKeyEntity],
    migrations: [{ name: "20260101000000-certificate-authorities", class: CreateCertificateAuthorities }],
  });
  await createMissingAuthorities({ database: opened.database, clock, clusterName: "prod", backendName: "fake", backend });
  authorities = newAuthorities();
  await authorities.load();
});
after(async () => {
  await opened.close();
  rmSync(folder, { recursive: true });
});

test("issues a user certificate that ssh-keygen reads", async () => {
  const { blob, serial, validFrom, expiresAt } = await authorities.issueUserCertificate({
    ...userRequest(),
    principals: ["deploy", "root"],
    extensions: { "permit-pty": "", "roles@mezite": '["access"]' },
    criticalOptions: { "source-address": "192.0.2.0/24" },
  });
  const listing = listSshCertificate(blob);
  assert.match(listing, /Type: ssh-ed25519-cert-v01@openssh.com user certificate/);
  assert.match(listing, new RegExp(`Signing CA: ED25519 ${sshFingerprint("user").replace(/[+/]/g, "\\$&")} `));
  assert.match(listing, /Key ID: "eve"/);
  assert.match(listing, new RegExp(`Serial: ${serial}\\n`));
  assert.match(listing, /Valid: from 2026-05-06T07:07:09 to 2026-05-06T19:08:09/);
  assert.match(listing, /Principals: \n +deploy\n +root\n/);
  assert.match(listing, /Critical Options: \n +source-address 192\.0\.2\.0\/24\n/);
  assert.match(listing, /permit-pty\n +roles@mezite UNKNOWN OPTION/);
  assert.deepEqual([validFrom.toISOString(), expiresAt.toISOString()], ["2026-05-06T07:07:09.000Z", "2026-05-06T19:08:09.000Z"]);
});

test("issues a host certificate that ssh-keygen reads", async () => {
  const { blob } = await authorities.issueHostCertificate({
    ...userRequest(),
    keyId: "web-01",
    principals: ["web-01", "web-01.prod"],
    ttlSeconds: 604_800,
  });
  const listing = listSshCertificate(blob);
  assert.match(listing, /ssh-ed25519-cert-v01@openssh.com host certificate/);
  assert.match(listing, new RegExp(`Signing CA: ED25519 ${sshFingerprint("host").replace(/[+/]/g, "\\$&")} `));
});

test("gives every SSH certificate another positive serial", async () => {
  const serials = await Promise.all(
    Array.from({ length: 20 }, async () => BigInt((await authorities.issueUserCertificate(userRequest())).serial)),
  );
  assert.equal(new Set(serials).size, 20);
  assert.ok(serials.every((serial) => serial > 0n && serial < 2n ** 63n));
});

for (const [what, change] of [
  ["no principals", { principals: [] }],
  ["257 principals", { principals: Array.from({ length: 257 }, (_, index) => `login${index}`) }],
  ["an empty principal", { principals: ["deploy", ""] }],
  ["an empty key id", { keyId: "" }],
  ["no time to live", { ttlSeconds: 0 }],
  ["a part of a second", { ttlSeconds: 1.5 }],
  ["no number", { ttlSeconds: Number.NaN }],
  ["more than 24 hours", { ttlSeconds: 86_401 }],
  ["an unknown critical option", { criticalOptions: { "verify-required": "" } }],
] as const) {
  test(`refuses a user certificate with ${what}`, async () => {
    await assert.rejects(authorities.issueUserCertificate({ ...userRequest(), ...change }), (error) =>
      isMezError(error, "INVALID_ARGUMENT"),
    );
  });
}

test("takes 256 principals and 24 hours", async () => {
  const principals = Array.from({ length: 256 }, (_, index) => `login${index}`);
  const { blob } = await authorities.issueUserCertificate({ ...userRequest(), principals, ttlSeconds: 86_400 });
  assert.deepEqual(parseCertificate(blob).principals, principals);
});

test("limits host certificates to seven days", async () => {
  await assert.rejects(authorities.issueHostCertificate({ ...userRequest(), ttlSeconds: 604_801 }), (error) =>
    isMezError(error, "INVALID_ARGUMENT"),
  );
  await assert.rejects(authorities.issueHostX509({ ...leafRequest(), ttlSeconds: 604_801 }), (error) =>
    isMezError(error, "INVALID_ARGUMENT"),
  );
  await assert.rejects(authorities.issueUserX509({ ...leafRequest(), ttlSeconds: 86_401 }), (error) =>
    isMezError(error, "INVALID_ARGUMENT"),
  );
});

for (const [name, publicKey] of [
  ["ECDSA P-256", generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey],
  ["ECDSA P-384", generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey],
  ["Ed25519", generateKeyPairSync("ed25519").publicKey],
  ["RSA-2048", generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey],
] as const) {
  test(`issues X.509 certificates for ${name} keys that OpenSSL takes strictly`, async () => {
    const host = await authorities.issueHostX509({
      ...leafRequest(publicKey),
      organization: "mezite:role:node",
      dnsNames: ["web-01", "web-01.prod", "*.web-01.prod"],
      ipAddresses: ["127.0.0.1", "::1"],
      uris: ["mezite://prod/agent/1"],
    });
    assert.match(verifyWithOpenssl(host.pem, "host", "sslserver"), /: OK/);
    assert.match(verifyWithOpenssl(host.pem, "host", "sslclient"), /: OK/);
    const user = await authorities.issueUserX509(leafRequest(publicKey));
    assert.match(verifyWithOpenssl(user.pem, "user", "sslclient"), /: OK/);
    assert.throws(() => verifyWithOpenssl(user.pem, "user", "sslserver"));
    assert.throws(() => verifyWithOpenssl(user.pem, "host", "sslclient"));
  });
}

test("writes into an X.509 certificate what was asked for", async () => {
  const request = {
    ...leafRequest(),
    commonName: "wéb 01",
    organization: "mezite:role:proxy",
    dnsNames: ["web-01"],
    ipAddresses: ["2001:db8::1"],
    uris: ["mezite://prod/agent/1"],
  };
  const { pem, serial, validFrom, expiresAt } = await authorities.issueHostX509(request);
  const parsed = new ParsedCertificate(pem);
  assert.equal(parsed.subject, "O=mezite:role:proxy\nCN=wéb 01");
  assert.equal(parsed.issuer, "CN=prod host CA");
  assert.equal(parsed.subjectAltName, "DNS:web-01, IP Address:2001:DB8:0:0:0:0:0:1, URI:mezite://prod/agent/1");
  assert.equal(parsed.serialNumber.toLowerCase(), serial);
  assert.match(serial, /^[4-7][0-9a-f]{31}$/);
  assert.equal(parsed.ca, false);
  assert.deepEqual([parsed.validFromDate, parsed.validToDate], [validFrom, expiresAt]);
  assert.deepEqual(parsed.publicKey.export({ format: "der", type: "spki" }), request.publicKeyDer);
  const other = new X509Certificate(pem);
  assert.equal(other.serialNumber, serial);
  assert.deepEqual(
    Array.from(other.extensions, ({ type, critical }) => `${type}${critical ? "!" : ""}`),
    ["2.5.29.19!", "2.5.29.15!", "2.5.29.37", "2.5.29.14", "2.5.29.35", "2.5.29.17"],
  );
});

for (const [what, change] of [
  ["an empty common name", { commonName: "" }],
  ["a common name of 65 characters", { commonName: "x".repeat(65) }],
  ["a NUL byte in its common name", { commonName: "web\0.evil" }],
  ["a DNS name with a space", { dnsNames: ["web 01"] }],
  ["a NUL byte in a DNS name", { dnsNames: ["web\0.evil"] }],
  ["an IP address that is none", { ipAddresses: ["127.0.0.256"] }],
  ["a URI without a scheme", { uris: ["prod/agent"] }],
  ["a key that is none", { publicKeyDer: Buffer.from("3000", "hex") }],
  ["a short RSA key", { publicKeyDer: spki(generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey) }],
  ["an X25519 key", { publicKeyDer: spki(generateKeyPairSync("x25519").publicKey) }],
] as const) {
  test(`refuses an X.509 certificate with ${what}`, async () => {
    await assert.rejects(authorities.issueHostX509({ ...leafRequest(), ...change }), (error) =>
      isMezError(error, "INVALID_ARGUMENT"),
    );
  });
}

test("says when the key backend is away, and works again after", async () => {
  for (const issue of [() => authorities.issueUserCertificate(userRequest()), () => authorities.issueHostX509(leafRequest())]) {
    backend.failNextSign("KEY_BACKEND_UNAVAILABLE");
    await assert.rejects(issue(), (error) => isMezError(error, "KEY_BACKEND_UNAVAILABLE"));
    await issue();
  }
});

test("never hands out a certificate whose signature is wrong", async () => {
  for (const issue of [() => authorities.issueUserCertificate(userRequest()), () => authorities.issueHostX509(leafRequest())]) {
    backend.corruptNextSign();
    await assert.rejects(issue());
    await issue();
  }
});

test("signs nothing before it has loaded", async () => {
  await assert.rejects(newAuthorities().issueUserCertificate(userRequest()), (error) => isMezError(error, "UNAVAILABLE"));
  assert.throws(
    () => newAuthorities().trustBundle("user"),
    (error) => isMezError(error, "UNAVAILABLE"),
  );
});

test("pins a certificate as OpenSSL would", () => {
  const pem = authorities.trustBundle("host").certificatesPem[0] ?? "";
  const path = fileOf("pin.pem", pem);
  const spkiDer = execFileSync("sh", ["-c", `openssl x509 -in "${path}" -noout -pubkey | openssl pkey -pubin -outform der`]);
  assert.equal(certificatePin(pem), `sha256:${createHash("sha256").update(spkiDer).digest("hex")}`);
});

// --- internal ---

function newAuthorities(): KeyBackedAuthorities {
  return new KeyBackedAuthorities({
    database: opened.database,
    clock,
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    clusterName: "prod",
    backendOf: () => backend,
  });
}

function userRequest(): SshUserCertificateRequest {
  return {
    publicKeyBlob: publicKeyOf(generateKeyPairSync("ed25519").publicKey).blob,
    keyId: "eve",
    principals: ["deploy"],
    ttlSeconds: 12 * 3600,
  };
}

function leafRequest(
  publicKey: KeyObject = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey,
): X509CertificateRequest {
  return { publicKeyDer: spki(publicKey), commonName: "web-01", ttlSeconds: 3600 };
}

function spki(publicKey: KeyObject): Buffer {
  return publicKey.export({ format: "der", type: "spki" });
}

function fileOf(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function listSshCertificate(blob: Buffer): string {
  const path = fileOf("listed-cert.pub", `ssh-ed25519-cert-v01@openssh.com ${blob.toString("base64")}\n`);
  return execFileSync("ssh-keygen", ["-L", "-f", path], { encoding: "utf8", env: { ...process.env, TZ: "UTC" } });
}

function sshFingerprint(type: "user" | "host"): string {
  const key = Buffer.from(authorities.trustBundle(type).sshPublicKeys[0] ?? "", "base64");
  return `SHA256:${createHash("sha256").update(key).digest("base64").replace(/=+$/, "")}`;
}

function verifyWithOpenssl(pem: string, type: "user" | "host", purpose: string): string {
  const trusted = fileOf(`${type}-ca.pem`, authorities.trustBundle(type).certificatesPem.join(""));
  const seconds = String(Math.floor(NOW.getTime() / 1000));
  const words = [
    "verify",
    "-x509_strict",
    "-check_ss_sig",
    "-attime",
    seconds,
    "-purpose",
    purpose,
    "-CAfile",
    trusted,
    fileOf("leaf.pem", pem),
  ];
  return execFileSync("openssl", words, { encoding: "utf8", stdio: "pipe" });
}
