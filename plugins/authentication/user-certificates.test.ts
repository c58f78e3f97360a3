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
import { UserCertificates } from "./user-certificates.js";

const ALICE: Caller & { kind: "user" } = {
  kind: "user",
  name: "alice",
  roles: ["access"],
  traits: { internal: { logins: ["alice"] }, external: {} },
  sessionId: "9f0f3d0e-0d3c-4b43-a5c5-0d7f8f6a1a11",
  mustChangePassword: false,
};
const SSH_KEY = publicKeyOf(generateKeyPairSync("ed25519").publicKey).blob;
const X509_KEY = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "der", type: "spki" });

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
    entities: [KeyProtectionEntity, SoftwareKeyEntity, AuthorityEntity, AuthorityKeyEntity],
    migrations: [
      { name: "20260101000000-software-keys", class: CreateSoftwareKeys },
      { name: "20260101000000-certificate-authorities", class: CreateCertificateAuthorities },
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
    await work(opened, authorities);
  } finally {
    await opened.close();
  }
}

test("certificates say who, as whom and for how long, and are audited", () =>
  withAuthorities(async (opened, authorities) => {
    const certificates = new UserCertificates(
      opened.database,
      authorities,
      accessWith(["alice", "deploy"], true, 3600),
      43_200,
      new FakeGuards(),
      systemClock,
    );
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
    const certificates = new UserCertificates(
      opened.database,
      authorities,
      accessWith([], false, null),
      43_200,
      new FakeGuards(),
      systemClock,
    );
    const issued = await certificates.issue(ALICE, { sshPublicKey: SSH_KEY, x509PublicKey: null, ttlSeconds: 0 }, "192.0.2.7");
    const ssh = parseCertificate(issued.sshCertificate ?? Buffer.alloc(0));
    assert.equal(ssh.principals.length, 1);
    assert.match(ssh.principals[0] ?? "", /^-mezite-no-login-[0-9a-f-]{36}$/);
    assert.ok(!ssh.extensions.has("permit-port-forwarding"));
    assert.equal(issued.x509Certificate, null);
  }));

test("refuses a request without a key, and a key that is none", () =>
  withAuthorities(async (opened, authorities) => {
    const certificates = new UserCertificates(
      opened.database,
      authorities,
      accessWith([], false, null),
      43_200,
      new FakeGuards(),
      systemClock,
    );
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
