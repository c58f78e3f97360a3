import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { type ErrorCode, isErrorCode } from "../../core/errors/codes.js";
import type { AuditRecord } from "../../core/plugin/audit.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import { parseCertificate } from "../../core/ssh/certificate.js";
import type { CertificateRequest } from "../../core/ssh/certificate-issue.js";
import { generateSshKeyPair } from "../../core/ssh/private-key.js";
import { FakeGuards } from "../../test/fakes/guards.js";
import { TestAuthority } from "../../test/fixtures/ssh/test-server.js";
import type { CertificateAuthorities } from "../ca/api.js";
import type { Access, AccessDecision, SessionOptions } from "../roles/api.js";
import { type AccessRequest, type NodeAccessParts, NodeAccessService } from "./node-access-service.js";
import type { OpenSshNode } from "./openssh-node.js";

const NODE: OpenSshNode = {
  ...{ id: "node-1", name: "db-01", host: "192.0.2.5", port: 22, labels: { role: "db" }, hostKey: "", addedBy: "admin" },
  ...{ addedAt: "2026-01-01T00:00:00.000Z", lastAccessAt: null, lastAuthority: null },
};
const OPTIONS: SessionOptions = {
  maxSessionTtlSeconds: null,
  requireSessionMfa: "",
  deviceTrustMode: "",
  portForwarding: true,
  fileCopy: true,
};
const FORMER = "2025-01-01T00:00:00.000Z";
const SESSION_ID = "0b1f9a3e-6c1d-4a57-9a55-2f0c8f7f1d01";
const EXTENSIONS = { "permit-pty": "", "permit-port-forwarding": "", "roles@mezite": '["dba"]' };

describe("certificates for logins at nodes without an agent", () => {
  let authority: TestAuthority;
  let stranger: TestAuthority;
  let service: NodeAccessService;
  let guards: FakeGuards;
  let audits: AuditRecord[];
  let decision: AccessDecision;
  let isSuperseded: boolean;

  before(() => {
    authority = new TestAuthority();
    stranger = new TestAuthority();
  });
  after(() => {
    authority.remove();
    stranger.remove();
  });
  beforeEach(() => {
    audits = [];
    guards = new FakeGuards();
    decision = { allowed: true, options: OPTIONS, roles: ["dba"] };
    isSuperseded = false;
    const tx = { audit: (record: AuditRecord) => void audits.push(record) } as Transaction;
    const authorities: Pick<CertificateAuthorities, "issueUserCertificate" | "issueHostCertificate" | "trustBundle"> = {
      issueUserCertificate: async (request) => issued("user", request),
      issueHostCertificate: async (request) => issued("host", request),
      trustBundle: () => ({ sshPublicKeys: [authority.userCa.publicKeyBlob.toString("base64")], certificatesPem: [] }),
    };
    const access: Pick<Access, "decide" | "standing" | "isSuperseded"> = {
      decide: () => decision,
      standing: ({ since }) => (since === FORMER ? "of a former user" : null),
      isSuperseded: () => isSuperseded,
    };
    service = new NodeAccessService({
      database: { transaction: <T>(work: (tx: Transaction) => Promise<T>) => work(tx) } as Database,
      nodes: { find: (name: string) => (name === NODE.name ? NODE : null) } as NodeAccessParts["nodes"],
      authorities: authorities as CertificateAuthorities,
      access: access as Access,
      guards,
      clock: { now: () => new Date() },
      clusterName: "test",
      hostTtlSeconds: 3600,
    });
  });

  async function issued(
    role: "user" | "host",
    request: {
      publicKeyBlob: Buffer;
      keyId: string;
      principals: readonly string[];
      ttlSeconds: number;
      extensions?: Readonly<Record<string, string>>;
      criticalOptions?: Readonly<Record<string, string>>;
    },
  ) {
    const { publicKeyBlob, keyId, principals, ttlSeconds, extensions = {}, criticalOptions = {} } = request;
    const expiresAt = new Date(Date.now() + ttlSeconds * 1000);
    const blob = authority.issue(role, publicKeyBlob, { keyId, principals, extensions, criticalOptions, validBefore: expiresAt });
    return { blob, serial: "1", validFrom: new Date(), expiresAt };
  }

  const request = (overrides: Partial<AccessRequest> = {}, certificate: Partial<CertificateRequest> = {}): AccessRequest => ({
    ...{ nodeId: NODE.id, node: NODE.name, login: "alice", sessionId: SESSION_ID, clientAddress: "192.0.2.9", secondFactor: "" },
    userCertificate: authority.issue("user", generateSshKeyPair().publicKeyBlob, { extensions: EXTENSIONS, ...certificate }),
    publicKey: generateSshKeyPair().publicKeyBlob,
    ...overrides,
  });

  test("name one login, live for minutes, carry what the person's own allows, and are audited", async () => {
    const made = parseCertificate(await service.accessCertificate("proxy-1", request()));
    assert.deepEqual([made.keyId, made.principals], ["alice", ["alice"]]);
    assert.deepEqual([...made.extensions.keys()], ["permit-port-forwarding", "permit-pty", "session@mezite"]);
    assert.ok(Number(made.validBeforeSeconds) - Date.now() / 1000 <= 301);
    assert.deepEqual(
      [audits[0]?.type, audits[0]?.userName, audits[0]?.resourceName, audits[0]?.sessionId],
      ["user.cert.issued", "alice", "db-01", SESSION_ID],
    );
  });

  test("keep a forced command, and no forwarding that the roles do not give", async () => {
    decision = { allowed: true, options: { ...OPTIONS, portForwarding: false }, roles: ["dba"] };
    const made = parseCertificate(
      await service.accessCertificate("proxy-1", request({}, { criticalOptions: { "force-command": "uptime" } })),
    );
    assert.equal(made.criticalOptions.get("force-command"), "uptime");
    assert.equal(made.extensions.has("permit-port-forwarding"), false);
  });

  const past = new Date(Date.now() - 1_000);
  for (const [what, make, code] of [
    ["a certificate that has expired", () => request({}, { validBefore: past }), "SSH_CERTIFICATE_REFUSED"],
    [
      "a certificate that another CA signed",
      () =>
        request({
          userCertificate: stranger.issue("user", generateSshKeyPair().publicKeyBlob, { extensions: EXTENSIONS }),
        }),
      "SSH_CERTIFICATE_REFUSED",
    ],
    [
      "a host certificate",
      () => request({ userCertificate: authority.issue("host", generateSshKeyPair().publicKeyBlob, { extensions: {} }) }),
      "SSH_CERTIFICATE_REFUSED",
    ],
    [
      "a certificate for another address",
      () => request({}, { criticalOptions: { "source-address": "198.51.100.0/24" } }),
      "SSH_CERTIFICATE_REFUSED",
    ],
    ["a certificate that names no roles", () => request({}, { extensions: { "permit-pty": "" } }), "SSH_CERTIFICATE_REFUSED"],
    ["a session's id that is none", () => request({ sessionId: "another's" }), "INVALID_ARGUMENT"],
    ["an address that is none", () => request({ clientAddress: "the office" }), "INVALID_ARGUMENT"],
    ["garbage in place of a certificate", () => request({ userCertificate: Buffer.from("garbage") }), "INVALID_ARGUMENT"],
    ["a login that the certificate does not name", () => request({ login: "mallory" }), "ACCESS_DENIED"],
    ["a node that is not there", () => request({ node: "db-02" }), "NOT_FOUND"],
    ["a node that was replaced", () => request({ nodeId: "node-0" }), "NOT_FOUND"],
    ["a second factor of no known kind", () => request({ secondFactor: "luck" }), "INVALID_ARGUMENT"],
  ] as const satisfies readonly (readonly [string, () => AccessRequest, ErrorCode])[]) {
    test(`are not made for ${what}`, async () => {
      assert.ok(isErrorCode(code));
      await assert.rejects(service.accessCertificate("proxy-1", make()), { code });
      assert.deepEqual(audits, []);
    });
  }

  test("are not made against the roles, for an older certificate of a machine, or through a lock", async () => {
    decision = { allowed: false, reason: "no", detail: "no role" };
    await assert.rejects(service.accessCertificate("proxy-1", request()), { code: "ACCESS_DENIED", message: "no" });
    decision = { allowed: true, options: OPTIONS, roles: ["dba"] };
    isSuperseded = true;
    const machine = { extensions: { ...EXTENSIONS, "instance@mezite": "one", "generation@mezite": "1" } };
    await assert.rejects(service.accessCertificate("proxy-1", request({}, machine)), { code: "ACCESS_DENIED" });
    const former = { extensions: { ...EXTENSIONS, "since@mezite": FORMER } };
    await assert.rejects(service.accessCertificate("proxy-1", request({}, former)), { message: "of a former user" });
    for (const locked of ["db-01", "proxy-1"]) {
      guards.refuse(({ agent }) => agent === locked);
      await assert.rejects(service.accessCertificate("proxy-1", request()), { code: "ACCESS_DENIED" }, locked);
    }
    guards.refuse(({ user }) => user === "alice");
    await assert.rejects(service.accessCertificate("proxy-1", request()), { code: "ACCESS_DENIED" });
    assert.deepEqual(audits, []);
  });

  test("host certificates are made for nodes without an agent alone", async () => {
    const { blob } = await service.hostCertificate("proxy-1", "db-01", generateSshKeyPair().publicKeyBlob);
    assert.deepEqual(parseCertificate(blob).principals, ["db-01", "db-01.test", "node-1"]);
    await assert.rejects(service.hostCertificate("proxy-1", "web-01", generateSshKeyPair().publicKeyBlob), { code: "NOT_FOUND" });
  });
});
