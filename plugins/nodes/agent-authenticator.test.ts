import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { after, before, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { JoinTestBed } from "../../test/integration/join-test-bed.js";
import { AgentAuthenticator } from "./agent-authenticator.js";
import { generateHostKeys } from "./host-keys.js";

const keys = generateHostKeys();
let bed: JoinTestBed;
let authenticator: AgentAuthenticator;
before(async () => {
  bed = await JoinTestBed.open();
  authenticator = new AgentAuthenticator(bed.directory, "test", bed.clock, bed.guards);
});
after(() => bed.close());

test("a host certificate of a known agent names it, its role and its end", async () => {
  const { tlsCertificatePem, serial, expiresAt } = await bed.enrolment.enrolLocal({
    name: "edge",
    role: "proxy",
    keys,
    publicAddresses: [],
  });
  const caller = await authenticate(tlsCertificatePem);
  assert.ok(caller?.kind === "agent");
  assert.deepEqual([caller.name, caller.role, caller.certificateExpiresAt], ["edge", "proxy", expiresAt]);
  assert.equal(caller.certificateSerial.padStart(32, "0"), serial);
});

test("a call without a certificate, or with a session beside it, is for others to judge", async () => {
  const { tlsCertificatePem } = await bed.enrolment.enrolLocal({ name: "edge", role: "proxy", keys, publicAddresses: [] });
  assert.equal(
    await authenticator.authenticate({ bearerToken: null, clientCertificate: null, clientAddress: "192.0.2.7" }),
    null,
  );
  assert.equal(await authenticate(tlsCertificatePem, "session"), null);
});

test("tells of an agent when something has come over its connection", async () => {
  const { tlsCertificatePem, agentId } = await bed.enrolment.enrolLocal({
    name: "web-09",
    role: "node",
    keys,
    publicAddresses: [],
  });
  const heard: string[] = [];
  const hearing = new AgentAuthenticator(bed.directory, "test", bed.clock, bed.guards, (id) => heard.push(id));
  const [one, other] = [0, 1].map(() => new X509Certificate(tlsCertificatePem).raw);
  const call = (clientCertificate: Buffer | undefined, bytesRead: number) =>
    hearing.authenticate({
      bearerToken: null,
      clientCertificate: clientCertificate ?? null,
      clientAddress: "192.0.2.7",
      bytesRead,
    });
  for (const bytesRead of [500, 500, 517, 517]) await call(one, bytesRead);
  assert.deepEqual(heard, [agentId, agentId]);
  await call(other, 300); // another connection has counted less
  assert.equal(heard.length, 3);
});

test("a certificate of the User CA makes no agent, whatever its name", async () => {
  await bed.enrolment.enrolLocal({ name: "web-01", role: "node", keys, publicAddresses: [] });
  const { pem } = await bed.authorities.issueUserX509({ publicKeyDer: keys.tlsPublicKey, commonName: "web-01", ttlSeconds: 60 });
  assert.equal(await authenticate(pem), null);
});

test("a name cannot reach into the role of the certificate", async () => {
  const { pem } = await bed.authorities.issueUserX509({
    publicKeyDer: keys.tlsPublicKey,
    commonName: "eve, O=mezite:role:proxy",
    ttlSeconds: 60,
  });
  assert.equal(await authenticate(pem), null);
});

test("the auth service's own certificate, an expired one and one of a removed agent are refused", async () => {
  const auth = await bed.enrolment.issueForAuth("auth-01", keys, []);
  await refuses(auth.tlsCertificatePem, /was removed/);
  const node = await bed.enrolment.enrolLocal({ name: "web-02", role: "node", keys, publicAddresses: [] });
  const before = bed.clock.time;
  bed.clock.time = new Date(node.expiresAt.getTime() + 1000);
  await refuses(node.tlsCertificatePem, /has expired/);
  bed.clock.time = before;
  await bed.nodes.delete("node", "web-02", { caller: { kind: "anonymous" }, clientAddress: "" });
  await refuses(node.tlsCertificatePem, /was removed/);
});

// --- internal ---

function authenticate(pem: string, bearerToken: string | null = null) {
  return authenticator.authenticate({ bearerToken, clientCertificate: new X509Certificate(pem).raw, clientAddress: "192.0.2.7" });
}

async function refuses(pem: string, message: RegExp): Promise<void> {
  await assert.rejects(authenticate(pem), (error) => isMezError(error, "UNAUTHENTICATED") && message.test(error.message));
}

test("a locked agent is refused, and comes back when the lock is gone", async (t) => {
  const { tlsCertificatePem } = await bed.enrolment.enrolLocal({ name: "edge", role: "proxy", keys, publicAddresses: [] });
  t.after(() => bed.guards.refuse(() => false));
  bed.guards.refuse(({ agent }) => agent === "edge");
  await assert.rejects(authenticate(tlsCertificatePem), (error) => isMezError(error, "ACCESS_DENIED"));
  bed.guards.refuse(() => false);
  assert.equal((await authenticate(tlsCertificatePem))?.kind, "agent");
});
