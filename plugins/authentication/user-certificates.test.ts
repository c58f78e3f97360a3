import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import test from "node:test";
import { isMezError } from "../../core/errors/error.js";
import type { Caller } from "../../core/plugin/caller.js";
import { Secret } from "../../core/plugin/secret.js";
import { parseCertificate } from "../../core/ssh/certificate.js";
import { publicKeyOf } from "../../core/ssh/public-key.js";
import { systemClock } from "../../core/time/clock.js";
import { FakeGuards } from "../../test/fakes/guards.js";
import { openTestDatabase, type TestDatabase } from "../../test/fixtures/database.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { AuthorityEntity, AuthorityKeyEntity } from "../ca/authority-repository.js";
import { createMissingAuthorities } from "../ca/authority-setup.js";
import { KeyBackedAuthorities } from "../ca/certificate-authorities.js";
import { CreateCertificateAuthorities } from "../ca/migrations/20260101000000-certificate-authorities.js";
import { KeyProtection } from "../keys/software/key-protection.js";
import { CreateSoftwareKeys } from "../keys/software/migrations/20260101000000-software-keys.js";
import { SoftwareKeyBackend } from "../keys/software/software-key-backend.js";
import { KeyProtectionEntity, SoftwareKeyEntity } from "../keys/software/software-key-repository.js";
import type { Access } from "../roles/api.js";
import { deleteSession, insertSession, type LoginSession, LoginSessionRecord } from "./login-session-repository.js";
import { LoginSessions } from "./login-sessions.js";
import { CreateAuthentication } from "./migrations/001-authentication.js";
import { AddLoginDevice } from "./migrations/002-login-device.js";
import { PasswordRecord } from "./password-repository.js";
import { UserCertificates } from "./user-certificates.js";

const ALICE: Caller & { kind: "user" } = {
  kind: "user",
  name: "alice",
  roles: ["access"],
  traits: { internal: { logins: ["alice"] }, external: {} },
  sessionId: "9f0f3d0e-0d3c-4b43-a5c5-0d7f8f6a1a11",
  mustChangePassword: false,
};
const SINCE = "2026-02-03T04:05:06.789Z";
const SSH_KEY = publicKeyOf(generateKeyPairSync("ed25519").publicKey).blob;
const X509_KEY = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "der", type: "spki" });

/** Alice's login, which lasts so long from now. */
function loginFor(seconds: number): LoginSession {
  const now = new Date();
  return {
    ...{ id: ALICE.sessionId, tokenHash: "hash", userName: "alice", createdAt: now, lastUsedAt: now, clientAddress: "192.0.2.7" },
    ...{ expiresAt: new Date(now.getTime() + seconds * 1000), device: null },
  };
}

/** Answers that do not depend on the node. */
function accessWith(logins: readonly string[], portForwarding: boolean, maxSessionTtlSeconds: number | null): Access {
  const refusal = { allowed: false, reason: "no", detail: "no" } as const;
  return {
    decide: () => refusal,
    decideReach: () => refusal,
    visibleNodes: () => [],
    standing: () => null,
    isSuperseded: () => false,
    holdings: () => ({ roles: [], until: null }),
    wouldReach: () => false,
    logins: () => logins,
    sessionOptions: () => ({ maxSessionTtlSeconds, requireSessionMfa: "", deviceTrustMode: "", portForwarding, fileCopy: true }),
  };
}

async function withAuthorities(work: (opened: TestDatabase, authorities: KeyBackedAuthorities) => Promise<void>): Promise<void> {
  const opened = await openTestDatabase({
    entities: [KeyProtectionEntity, SoftwareKeyEntity, AuthorityEntity, AuthorityKeyEntity, PasswordRecord, LoginSessionRecord],
    migrations: [
      { name: "20260101000000-software-keys", class: CreateSoftwareKeys },
      { name: "20260101000000-certificate-authorities", class: CreateCertificateAuthorities },
      { name: "001-authentication", class: CreateAuthentication },
      { name: "002-login-device", class: AddLoginDevice },
    ],
  });
  try {
    const { database } = opened;
    const protection = new KeyProtection(database, { passphrase: new Secret("test"), keyFile: `${opened.path}.key` });
    const backend = new SoftwareKeyBackend(database, protection, systemClock);
    await createMissingAuthorities({ database, clock: systemClock, clusterName: "test", backendName: "software", backend });
    const authorities = new KeyBackedAuthorities({
      database,
      clock: systemClock,
      logger: silentLogger,
      clusterName: "test",
      backendOf: () => backend,
    });
    await authorities.load();
    await database.transaction(({ em }) => insertSession(em, loginFor(43_200)));
    await work(opened, authorities);
  } finally {
    await opened.close();
  }
}

function certificatesOf(
  { database }: TestDatabase,
  authorities: KeyBackedAuthorities,
  access: Access,
  sessions = new LoginSessions(database, systemClock),
): UserCertificates {
  const users = { get: () => ({ roles: ["access"], traits: ALICE.traits, since: SINCE }) };
  const [guards, defaultTtlSeconds] = [new FakeGuards(), 43_200];
  return new UserCertificates({ database, sessions, authorities, access, users, defaultTtlSeconds, guards, clock: systemClock });
}

test("certificates say who, as whom and for how long, and are audited", () =>
  withAuthorities(async (opened, authorities) => {
    const certificates = certificatesOf(opened, authorities, accessWith(["alice", "deploy"], true, 3600));
    const issued = await certificates.issue(
      ALICE,
      { sshPublicKey: SSH_KEY, x509PublicKey: X509_KEY, ttlSeconds: 7200 },
      "192.0.2.7",
    );
    const ssh = parseCertificate(issued.sshCertificate ?? Buffer.alloc(0));
    assert.equal(ssh.keyId, "alice");
    assert.deepEqual([...ssh.principals], ["alice", "deploy"]);
    assert.match(issued.x509Certificate ?? "", /^-----BEGIN CERTIFICATE-----/);
    assert.equal(issued.notice, "shortened from 2h to 1h: max_session_ttl of your roles");
    assert.ok(Math.abs(issued.expiresAt.getTime() - Date.now() - 3_600_000) < 60_000);
    const extensions = Object.fromEntries(ssh.extensions);
    assert.deepEqual(extensions, {
      "permit-pty": "",
      "permit-agent-forwarding": "",
      "permit-port-forwarding": "",
      "kind@mezite": "user",
      "roles@mezite": '["access"]',
      "session@mezite": ALICE.sessionId,
      "since@mezite": SINCE,
      "traits@mezite": '{"internal":{"logins":["alice"]},"external":{}}',
    });
    const [event] = opened.audits.filter(({ type }) => type === "user.cert.issued");
    assert.deepEqual(
      [event?.userName, event?.clientIp, event?.metadata?.["logins"]],
      ["alice", "192.0.2.7", ["alice", "deploy"]],
    );
  }));

test("a person without logins gets a certificate that opens no account", () =>
  withAuthorities(async (opened, authorities) => {
    const certificates = certificatesOf(opened, authorities, accessWith([], false, null));
    const issued = await certificates.issue(ALICE, { sshPublicKey: SSH_KEY, x509PublicKey: null, ttlSeconds: 0 }, "192.0.2.7");
    const ssh = parseCertificate(issued.sshCertificate ?? Buffer.alloc(0));
    assert.equal(ssh.principals.length, 1);
    assert.match(ssh.principals[0] ?? "", /^-mezite-no-login-[0-9a-f-]{36}$/);
    assert.ok(!ssh.extensions.has("permit-port-forwarding"));
    assert.equal(issued.x509Certificate, null);
  }));

for (const [asked, notice] of [
  [0, /^$/],
  [600, /^$/],
  [43_200, /^valid for (5m59s|6m): then your login ends$/],
] as const)
  test(`a certificate does not outlive its login, when ${asked} s are asked for`, () =>
    withAuthorities(async (opened, authorities) => {
      await opened.database.transaction(async ({ em }) => {
        await deleteSession(em, ALICE.sessionId);
        await insertSession(em, loginFor(asked === 600 ? 595 : 360));
      });
      const access = accessWith(["alice"], true, null);
      const certificates = certificatesOf(opened, authorities, access);
      const order = { sshPublicKey: SSH_KEY, x509PublicKey: X509_KEY, ttlSeconds: asked };
      const issued = await certificates.issue(ALICE, order, "192.0.2.7");
      const [session] = await opened.database.read((em) => em.find(LoginSessionRecord, {}));
      assert.ok(issued.expiresAt <= session!.expiresAt && issued.expiresAt.getTime() > session!.expiresAt.getTime() - 60_000);
      assert.match(issued.notice, notice);
    }));

test("hands out no certificate of a login that ended while it was signed", () =>
  withAuthorities(async (opened, authorities) => {
    const access = accessWith(["alice"], true, null);
    const order = { sshPublicKey: SSH_KEY, x509PublicKey: null, ttlSeconds: 0 };
    const isEnded = (error: unknown): boolean => isMezError(error, "UNAUTHENTICATED");
    const ending = Object.assign(Object.create(authorities) as KeyBackedAuthorities, {
      issueUserCertificate: async (request: Parameters<KeyBackedAuthorities["issueUserCertificate"]>[0]) => {
        await opened.database.transaction(({ em }) => deleteSession(em, ALICE.sessionId));
        return authorities.issueUserCertificate(request);
      },
    });
    const certificates = certificatesOf(opened, ending, access);
    await assert.rejects(certificates.issue(ALICE, order, "192.0.2.7"), isEnded);
    await assert.rejects(certificates.issue(ALICE, order, "192.0.2.7"), isEnded);
    assert.equal(opened.audits.filter(({ type }) => type === "user.cert.issued").length, 0);
  }));

test("hands out no certificate of a login that is remembered here, and was ended at another server", () =>
  withAuthorities(async (opened, authorities) => {
    const sessions = new LoginSessions(opened.database, systemClock);
    const certificates = certificatesOf(opened, authorities, accessWith(["alice"], true, null), sessions);
    const order = { sshPublicKey: SSH_KEY, x509PublicKey: null, ttlSeconds: 0 };
    await sessions.find("hash");
    await certificates.issue(ALICE, order, "192.0.2.7");
    await opened.database.transaction(({ em }) => deleteSession(em, ALICE.sessionId));
    assert.notEqual(await sessions.expiryOf(ALICE.sessionId), undefined);
    await assert.rejects(certificates.issue(ALICE, order, "192.0.2.7"), (error) => isMezError(error, "UNAUTHENTICATED"));
  }));

test("refuses a request without a key, and a key that is none", () =>
  withAuthorities(async (opened, authorities) => {
    const certificates = certificatesOf(opened, authorities, accessWith([], false, null));
    for (const [sshPublicKey, x509PublicKey] of [
      [null, null],
      [Buffer.from("garbage"), null],
      [null, Buffer.from("garbage")],
    ] as const) {
      await assert.rejects(
        certificates.issue(ALICE, { sshPublicKey, x509PublicKey, ttlSeconds: 0 }, "192.0.2.7"),
        (error) => isMezError(error) && error.kind === "usage",
      );
    }
    assert.equal(opened.audits.filter(({ type }) => type === "user.cert.issued").length, 0);
  }));
