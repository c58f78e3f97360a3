import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { connect, createServer, type TLSSocket } from "node:tls";
import { isMezError } from "../../core/errors/error.js";
import { deriveJoinTokenKeys } from "../../core/join/join-token-keys.js";
import type { HostCredentials } from "../../core/plugin/host-identity.js";
import { Secret } from "../../core/plugin/secret.js";
import { grpcDialer } from "../../core/rpc/client.js";
import { parseCertificate } from "../../core/ssh/certificate.js";
import { NODES } from "../../plugins/nodes/api.js";
import { generateHostKeys } from "../../plugins/nodes/host-keys.js";
import { AgentServiceService, JoinRequest } from "../../proto/gen/mezite/nodes/v1/nodes.js";
import { testAuthority } from "../fixtures/tls.js";
import { JoinTestBed } from "./join-test-bed.js";

let bed: JoinTestBed;
before(async () => {
  bed = await JoinTestBed.open();
});
after(() => bed.close());

test("joins with a token: certificates, record, collection entry and audit event", async () => {
  const credentials = await bed.agent("web-01", await bed.token()).join("web-01");
  const leaf = new X509Certificate(credentials.certificatePem);
  assert.equal(leaf.subject, "O=mezite:role:node\nCN=web-01");
  assert.ok(leaf.verify(new X509Certificate(credentials.trustPem[0] ?? "").publicKey));
  assert.deepEqual(parseCertificate(credentials.sshCertificate).principals, ["web-01", "web-01.test", credentials.id]);
  assert.deepEqual(bed.collections.of(NODES).get("web-01"), {
    id: credentials.id,
    name: "web-01",
    kind: "agent",
    hostname: "",
    labels: {},
  });
  const joined = bed.audits.find((event) => event.type === "node.joined" && event.resourceName === "web-01");
  assert.equal(joined?.clientIp, "127.0.0.1");
});

test("keeps credentials in files that only the owner can read", async () => {
  await bed.agent("web-02", await bed.token()).join("web-02");
  const folder = join(bed.folder, "web-02", "node");
  assert.deepEqual(await readdir(folder), ["host-identity.json"]);
  assert.equal((await stat(join(folder, "host-identity.json"))).mode & 0o777, 0o600);
  assert.equal((await bed.agent("web-02", null).stored())?.name, "web-02");
});

test("the joined agent calls under its certificate, until it is removed", async () => {
  const identity = bed.identity(bed.agent("web-03", await bed.token()));
  await identity.obtain("web-03");
  const client = identity.connection().client(AgentServiceService);
  const facts = { labels: { env: "prod" }, hostname: "web-03.internal", os: "linux x64", version: "0.1.0" };
  assert.equal((await client.registerAgent(facts)).heartbeatIntervalSeconds, 180);
  await client.agentHeartbeat({});
  assert.equal(bed.nodes.get("web-03")?.online, true);
  await client.registerAgent({ ...facts, os: "linux arm64" });
  await client.registerAgent({ ...facts, labels: { env: "dev" } });
  const changes = bed.audits.filter((event) => event.type === "node.updated" && event.resourceName === "web-03");
  assert.deepEqual(
    changes.map(({ clientIp, resourceLabels, metadata }) => [clientIp, resourceLabels, metadata?.previous]),
    [
      ["127.0.0.1", { env: "prod" }, {}],
      ["127.0.0.1", { env: "dev" }, { env: "prod" }],
    ],
  );
  await client.deregisterAgent({});
  assert.equal(bed.nodes.get("web-03")?.online, false);
  await bed.nodes.delete("node", "web-03", { caller: { kind: "anonymous" }, clientAddress: "192.0.2.1" });
  await rejects(client.agentHeartbeat({}), "UNAUTHENTICATED");
  await rejects(client.renewHostCerts({ keys: generateHostKeys(), publicAddresses: [] }), "UNAUTHENTICATED");
});

test("an agent that is locked after its call was let in gets no certificates", async (t) => {
  const { id } = await bed.agent("web-31", await bed.token()).join("web-31");
  t.after(() => bed.guards.refuse(() => false));
  bed.guards.refuse(({ agent }) => agent === "web-31");
  await rejects(bed.enrolment.renew(id, generateHostKeys(), []), "ACCESS_DENIED");
});

test("a proxy that gets certificates for other addresses is written down", async () => {
  const agent = { name: "proxy-31", role: "proxy", keys: generateHostKeys(), publicAddresses: [] } as const;
  const { agentId: id } = await bed.enrolment.enrolLocal(agent);
  await bed.enrolment.renew(id, generateHostKeys(), []);
  await bed.enrolment.renew(id, generateHostKeys(), ["other.example.com"]);
  const changes = bed.audits.filter((event) => event.type === "node.updated" && event.resourceName === "proxy-31");
  assert.deepEqual(
    changes.map(({ metadata }) => metadata?.public_addresses),
    [["other.example.com"]],
  );
});

test("a certificate of a removed node is refused after another joined under its name", async () => {
  const old = bed.identity(bed.agent("web-04", await bed.token()));
  await old.obtain("web-04");
  await bed.nodes.delete("node", "web-04", { caller: { kind: "anonymous" }, clientAddress: "192.0.2.1" });
  await bed.agent("web-04-new", await bed.token()).join("web-04");
  await rejects(old.connection().client(AgentServiceService).agentHeartbeat({}), "UNAUTHENTICATED");
});

test("renews with new keys under the old certificate and goes on with the new one", async () => {
  const enrolment = bed.agent("web-05", await bed.token());
  const identity = bed.identity(enrolment);
  await identity.obtain("web-05");
  const first = identity.current();
  const renewed = new Promise<HostCredentials>((resolve) => void identity.onChange(resolve));
  identity.renewSoon(0);
  const second = await renewed;
  assert.equal(second.id, first.id);
  assert.notEqual(second.certificatePem, first.certificatePem);
  assert.notEqual(second.sshPrivateKey.expose(), first.sshPrivateKey.expose());
  await identity.connection().client(AgentServiceService).agentHeartbeat({});
  assert.equal((await enrolment.stored())?.certificatePem, second.certificatePem);
});

test("stored credentials serve while the auth service is out of reach", async () => {
  await bed.agent("web-06", await bed.token()).join("web-06");
  const identity = bed.identity(bed.agent("web-06", null, ["127.0.0.1:1"]), ["127.0.0.1:1"]);
  await identity.obtain("web-06");
  assert.equal(identity.current().name, "web-06");
  await rejects(identity.connection().client(AgentServiceService).agentHeartbeat({}), "UNAVAILABLE");
});

test("stored credentials of another name are an error, and no token is an error that says what to do", async () => {
  await bed.agent("web-07", await bed.token()).join("web-07");
  await rejects(bed.identity(bed.agent("web-07", null)).obtain("web-08"), "CONFLICT");
  await rejects(
    bed.identity(bed.agent("nowhere", null)).obtain("web-08"),
    "JOIN_TOKEN_REQUIRED",
    /mezctl tokens create --roles=node/,
  );
});

test("a lost answer is given again to the same keys, and other keys are refused", async () => {
  const token = await bed.token();
  const keys = generateHostKeys();
  const first = await redeem(token, "web-09", keys);
  const again = await redeem(token, "web-09", keys);
  assert.deepEqual(again, first);
  await rejects(redeem(token, "web-09", generateHostKeys()), "JOIN_REFUSED");
  await rejects(redeem(token, "web-10", keys), "JOIN_REFUSED");
  assert.equal(bed.audits.filter((event) => event.type === "node.joined" && event.resourceName === "web-09").length, 1);
  await bed.nodes.delete("node", "web-09", { caller: { kind: "anonymous" }, clientAddress: "192.0.2.1" });
  await rejects(redeem(token, "web-09", keys), "JOIN_REFUSED");
});

test("an agent that crashed before it stored the answer joins with the same token again", async () => {
  const token = await bed.token();
  const lost = bed.agent("web-11", token);
  const first = await lost.join("web-11");
  const folder = join(bed.folder, "web-11", "node");
  const stored = JSON.parse(await readFile(join(folder, "host-identity.json"), "utf8")) as {
    sshPrivateKey: string;
    privateKeyPem: string;
  };
  const pending = { sshPrivateKey: stored.sshPrivateKey, tlsPrivateKeyPem: stored.privateKeyPem };
  await writeFile(join(folder, "host-identity.pending.json"), JSON.stringify(pending), { mode: 0o600 });
  await rm(join(folder, "host-identity.json"));
  const second = await bed.agent("web-11", token).join("web-11");
  assert.equal(second.certificatePem, first.certificatePem);
});

test("of 50 agents with one token, one joins", async () => {
  const token = await bed.token();
  const joins = Array.from({ length: 50 }, (_, index) => redeem(token, `racer-${index}`, generateHostKeys()));
  const results = await Promise.allSettled(joins);
  assert.equal(results.filter((result) => result.status === "fulfilled").length, 1);
  for (const result of results) if (result.status === "rejected") assert.ok(isMezError(result.reason, "JOIN_REFUSED"));
  assert.equal(bed.directory.all("node").filter((agent) => agent.name.startsWith("racer-")).length, 1);
});

test("refuses a role that the token does not admit, and does not use the token up", async () => {
  const token = await bed.token(["proxy"]);
  await rejects(redeem(token, "web-12", generateHostKeys()), "JOIN_REFUSED", /admits proxy, not node/);
  assert.equal((await redeem(token, "proxy-12", generateHostKeys(), "proxy")).agentId.length, 36);
});

test("a name that another agent holds is refused, and the token stays good for another name", async () => {
  await redeem(await bed.token(), "web-13", generateHostKeys());
  const token = await bed.token();
  await rejects(redeem(token, "web-13", generateHostKeys()), "ALREADY_EXISTS", /mezctl nodes rm/);
  await redeem(token, "web-14", generateHostKeys());
});

test("unknown, deleted and expired tokens look alike, and say so to the one who holds them", async () => {
  const short = await bed.token(["node"], 60);
  const deleted = await bed.token();
  await bed.tokens.delete(deriveJoinTokenKeys(deleted).id.toString("hex"), { name: "admin", roles: ["admin"] });
  const before = bed.clock.time;
  bed.clock.time = new Date(before.getTime() + 61_000);
  for (const token of [short, deleted, new Secret("ab".repeat(32))]) {
    await rejects(
      bed.joinClient().begin({ addresses: [bed.address], token, kind: "agent" }),
      "JOIN_SERVER_UNPROVEN",
      /nothing was sent that could be reused/,
    );
  }
  bed.clock.time = before;
});

test("someone in the middle with a certificate of his own is found out, and gets nothing that he can use", async () => {
  const token = await bed.token();
  const middle = await manInTheMiddle(bed.address);
  try {
    await rejects(
      bed.agent("victim", token, [middle.address]).join("victim"),
      "JOIN_SERVER_UNPROVEN",
      /someone stands between you and it/,
    );
  } finally {
    await middle.close();
  }
  const seen = Buffer.concat(middle.seen);
  const keys = deriveJoinTokenKeys(token);
  assert.ok(seen.includes(keys.id), "the client began");
  assert.ok(
    seen.includes(bed.authorities.trustBundle("host").certificatesPem[0] ?? ""),
    "the server answered through the middle",
  );
  assert.ok(!seen.includes("victim"), "the client stopped before it asked for certificates");
  for (const secret of [Buffer.from(token.expose()), Buffer.from(token.expose(), "hex"), keys.serverKey, keys.clientPublicKey]) {
    assert.ok(!seen.includes(secret));
  }
  await bed.agent("victim", token).join("victim");
});

test("a proof that was made over one connection is refused over another", async () => {
  const attempt = await bed.joinClient().begin({ addresses: [bed.address], token: await bed.token(), kind: "agent" });
  const request = encodeRequest("web-15", generateHostKeys());
  const proof = Buffer.from(await attempt.prove(request));
  const elsewhere = { method: "token", proof, bytes: request, request: JoinRequest.decode(request), clientAddress: "192.0.2.9" };
  await rejects(bed.enrolment.join({ ...elsewhere, serverFingerprint: Buffer.alloc(32, 1) }), "JOIN_REFUSED");
  await rejects(bed.enrolment.join({ ...elsewhere, serverFingerprint: Buffer.alloc(32) }), "JOIN_REFUSED");
  const other = encodeRequest("web-16", generateHostKeys());
  await rejects(
    attempt.connection.client(AgentServiceService).generateHostCerts({ method: "token", proof, request: other }),
    "JOIN_REFUSED",
  );
  await attempt.connection.client(AgentServiceService).generateHostCerts({ method: "token", proof, request });
  attempt.close();
});

test("joining behind a load balancer needs the server's consent and the client's pin", async () => {
  const open = await JoinTestBed.open({ allowWithoutFingerprint: true });
  try {
    const token = await open.token();
    const connection = grpcDialer.dial({ addresses: [open.address], trust: { kind: "none" } });
    const pin = await connection.serverFingerprint();
    connection.close();
    const begin = (target: JoinTestBed, sha256: Buffer) =>
      target.joinClient({ kind: "pin", sha256 }).begin({ addresses: [target.address], token, kind: "agent" });
    await rejects(begin(open, Buffer.alloc(32)), "JOIN_SERVER_UNPROVEN", /load_balancer_certificate/);
    (await begin(open, pin)).close();
    const strict = grpcDialer.dial({ addresses: [bed.address], trust: { kind: "none" } });
    await rejects(begin(bed, await strict.serverFingerprint()), "JOIN_REFUSED", /wants its TLS certificate proven/);
    strict.close();
  } finally {
    await open.close();
  }
});

// --- internal ---

type Keys = ReturnType<typeof generateHostKeys>;

function encodeRequest(name: string, { sshPublicKey, tlsPublicKey }: Keys, role = "node"): Buffer {
  return Buffer.from(JoinRequest.encode({ name, role, keys: { sshPublicKey, tlsPublicKey }, publicAddresses: [] }).finish());
}

async function redeem(token: Secret, name: string, keys: Keys, role = "node") {
  const attempt = await bed.joinClient().begin({ addresses: [bed.address], token, kind: "agent" });
  try {
    const request = encodeRequest(name, keys, role);
    const proof = Buffer.from(await attempt.prove(request));
    return await attempt.connection.client(AgentServiceService).generateHostCerts({ method: attempt.method, proof, request });
  } finally {
    attempt.close();
  }
}

async function rejects(promise: Promise<unknown>, code: string, message = /./): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(isMezError(error), String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  });
}

/** Ends TLS with a certificate of its own, and passes every byte on to the real server over a second TLS connection. */
async function manInTheMiddle(target: string) {
  const authority = await testAuthority("Somebody Else");
  const own = await authority.issue("auth-01");
  const seen: Buffer[] = [];
  const sockets = new Set<TLSSocket>();
  const keep = (socket: TLSSocket): TLSSocket => {
    sockets.add(socket);
    return socket.on("error", () => socket.destroy()).once("close", () => sockets.delete(socket));
  };
  const port = Number(target.slice(target.lastIndexOf(":") + 1));
  const server = createServer({
    key: own.privateKeyPem.expose(),
    cert: own.certificatePem,
    ALPNProtocols: ["h2"],
    minVersion: "TLSv1.3",
  });
  server.on("secureConnection", (victim) => {
    const upstream = keep(connect({ host: "127.0.0.1", port, rejectUnauthorized: false, ALPNProtocols: ["h2"] }));
    keep(victim).on("data", (bytes: Buffer) => void seen.push(bytes));
    upstream.on("data", (bytes: Buffer) => void seen.push(bytes));
    victim.pipe(upstream).pipe(victim);
  });
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    async close() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
