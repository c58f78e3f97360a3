import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { type TestContext, test } from "node:test";
import { isMezError, MezError } from "../../core/errors/error.js";
import type { Guard } from "../../core/ports/guard.js";
import { systemClock } from "../../core/time/clock.js";
import { FakeKeyBackend } from "../../test/fakes/key-backend.js";
import { openTestDatabase } from "../../test/fixtures/database.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { FakeCollection } from "../../test/fixtures/ssh/test-node.js";
import type { SpiffeAuthority } from "../ca/api.js";
import { AuthorityEntity, AuthorityKeyEntity } from "../ca/authority-repository.js";
import { createMissingAuthorities } from "../ca/authority-setup.js";
import { KeyBackedAuthorities } from "../ca/certificate-authorities.js";
import { CreateCertificateAuthorities } from "../ca/migrations/20260101000000-certificate-authorities.js";
import { SvidIssuer } from "../ca/svid-issuer.js";
import type { NodeEntry } from "../nodes/api.js";
import type { MachineInstanceEntry } from "../roles/api.js";
import { CreateWorkloadIdentities } from "./migrations/001-workload-identities.js";
import { type SvidCaller, type SvidOrder, SvidService } from "./svid-service.js";
import { WorkloadDirectory } from "./workload-directory.js";
import type { StoredWorkloadIdentity, WorkloadIdentity } from "./workload-identity.js";
import { WORKLOAD_ENTITIES } from "./workload-repository.js";
import { WorkloadService } from "./workload-service.js";

const INSTANCES = { "i-1": "identity/web-01", "i-2": "identity/web-01", "i-3": "identity/web-02" };
const CALLER: SvidCaller = { name: "web-01", roles: ["ci"], instance: "i-1", clientAddress: "192.0.2.7" };
const PAYMENTS: WorkloadIdentity = {
  ...{ name: "payments", description: "", spiffeIdPath: "/ns/{{node.labels.env}}/payments", hint: "" },
  ...{ agentIdentities: ["web-01"], nodeLabels: {}, dnsSans: ["payments.internal"] },
  unix: { uids: [1000], gids: [], paths: [], sha256: [] },
  ...{ x509TtlSeconds: 3600, jwtTtlSeconds: 300 },
};
const PROCESS = { pid: 7, uid: 1000, gids: [1000], path: "/usr/bin/app", sha256: "" };
const publicKey = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "der", type: "spki" });

test("issues what the workload identity and the node say, and records the program", async (t) => {
  const bed = await open(t);
  const [result] = await bed.svids.issueX509([{ ...bed.order(), publicKey, process: PROCESS }], CALLER);
  assert.ok(result !== undefined && !(result instanceof MezError));
  assert.equal(result.spiffeId, "spiffe://prod/ns/eu/payments");
  const certificate = new X509Certificate(result.der);
  assert.equal(certificate.subjectAltName, "DNS:payments.internal, URI:spiffe://prod/ns/eu/payments");
  const [event] = bed.events("workload_identity.svid_issued");
  assert.deepEqual(
    [event?.userName, event?.resourceName, event?.clientIp],
    ["identity/web-01", "payments", CALLER.clientAddress],
  );
  const said = { kind: "x509", serial: result.serial, spiffe_id: result.spiffeId, instance: "i-1", process: PROCESS };
  assert.deepEqual(event?.metadata, { ...said, expires_at: result.expiresAt.toISOString() });
});

test("issues a JWT-SVID, with the issuer that is configured", async (t) => {
  const bed = await open(t);
  const { token, spiffeId } = await bed.svids.issueJwt({ ...bed.order(), audiences: ["db"], process: null }, CALLER);
  const claims = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as Record<string, unknown>;
  assert.deepEqual([claims["sub"], claims["aud"], claims["iss"]], [spiffeId, ["db"], "https://id.example.com"]);
  const [event] = bed.events("workload_identity.svid_issued");
  assert.deepEqual([event?.metadata?.["kind"], event?.metadata?.["audiences"]], ["jwt", ["db"]]);
  assert.ok(!JSON.stringify(event).includes(token));
});

test("answers each order for itself", async (t) => {
  const bed = await open(t);
  const order = { ...bed.order(), publicKey, process: PROCESS };
  const results = await bed.svids.issueX509(
    [
      order,
      { ...order, entry: "absent" },
      { ...order, entry: "no\0name" },
      { ...order, revision: "0" },
      { ...order, process: { ...PROCESS, uid: 0 } },
      { ...order, publicKey: Buffer.from("key") },
      order,
    ],
    CALLER,
  );
  const codes = results.map((result) => (result instanceof MezError ? result.code : "issued"));
  assert.deepEqual(codes, ["issued", "NOT_FOUND", "NOT_FOUND", "CONFLICT", "ACCESS_DENIED", "INVALID_ARGUMENT", "issued"]);
  assert.equal(bed.events("workload_identity.svid_issued").length, 2);
  assert.equal(bed.events("workload_identity.svid_refused").length, 4, "a revision that is behind is nothing to record");
});

test("refuses another identity, and a host whose label changed", async (t) => {
  const bed = await open(t);
  const order = { ...bed.order(), publicKey, process: null };
  const codeFor = async (caller: SvidCaller): Promise<string> => {
    const [result] = await bed.svids.issueX509([order], caller);
    return result instanceof MezError ? result.code : "issued";
  };
  assert.equal(await codeFor({ ...CALLER, name: "web-02", instance: "i-3" }), "NOT_FOUND");
  bed.nodes.set("web-01", nodeWith("us"));
  assert.equal(await codeFor(CALLER), "CONFLICT");
  bed.nodes.set("web-01", undefined);
  assert.equal(await codeFor(CALLER), "NOT_FOUND");
});

for (const [what, change] of [
  ["deleted", (bed: Bed) => bed.workloads.set("payments", undefined)],
  ["changed", (bed: Bed) => bed.workloads.set("payments", { ...bed.stored, id: "another" })],
] as const) {
  test(`gives out nothing that was signed while its workload identity was ${what}`, async (t) => {
    const bed = await open(t);
    bed.beforeSigned = async () => change(bed);
    const [result] = await bed.svids.issueX509([{ ...bed.order(), publicKey, process: null }], CALLER);
    assert.ok(isMezError(result, "NOT_FOUND"));
    assert.equal(bed.events("workload_identity.svid_issued").length, 0);
  });
}

test("gives out nothing that was signed while its caller was locked or deleted", async (t) => {
  const bed = await open(t);
  const orders = [{ ...bed.order(), publicKey, process: null }];
  bed.beforeSigned = async () => void bed.locked.add("i-1");
  await assert.rejects(bed.svids.issueX509(orders, CALLER), (error) => isMezError(error, "ACCESS_DENIED"));
  const jwt = { ...bed.order(), audiences: ["db"], process: null };
  await assert.rejects(bed.svids.issueJwt(jwt, CALLER), (error) => isMezError(error, "ACCESS_DENIED"));
  const [result] = await bed.svids.issueX509(orders, { ...CALLER, instance: "i-2" });
  assert.ok(!(result instanceof MezError), "another instance goes on");
  bed.beforeSigned = async () => bed.instances.set("i-2", undefined);
  const deleted = { ...CALLER, instance: "i-2" };
  await assert.rejects(bed.svids.issueX509(orders, deleted), (error) => isMezError(error, "UNAUTHENTICATED"));
  assert.equal(bed.events("workload_identity.svid_issued").length, 1);
});

test("gives out nothing that could not be recorded", async (t) => {
  const bed = await open(t);
  bed.failsToRecord = true;
  await assert.rejects(bed.svids.issueX509([{ ...bed.order(), publicKey, process: null }], CALLER), /no audit/);
});

test("limits orders and audiences", async (t) => {
  const bed = await open(t);
  const order = { ...bed.order(), process: null };
  const refused = (error: unknown) => isMezError(error, "INVALID_ARGUMENT");
  await assert.rejects(bed.svids.issueX509(Array(101).fill({ ...order, publicKey }) as never, CALLER), refused);
  for (const audiences of [[], [""], Array(17).fill("a"), ["a".repeat(256)], ["a\nb"]] as string[][])
    await assert.rejects(bed.svids.issueJwt({ ...order, audiences }, CALLER), refused);
});

test("says that the key backend is away, and issues nothing of the batch", async (t) => {
  const bed = await open(t);
  bed.backend.failNextSign("KEY_BACKEND_UNAVAILABLE");
  await assert.rejects(bed.svids.issueX509([{ ...bed.order(), publicKey, process: null }], CALLER), (error) =>
    isMezError(error, "KEY_BACKEND_UNAVAILABLE"),
  );
});

// --- internal ---

type Bed = Awaited<ReturnType<typeof open>>;

function nodeWith(env: string): NodeEntry {
  return { id: "n-1", name: "web-01", kind: "agent", hostname: "web-01", labels: { env } };
}

async function open(t: TestContext) {
  const state = { beforeSigned: async (): Promise<void> => {}, failsToRecord: false };
  const opened = await openTestDatabase({
    entities: [AuthorityEntity, AuthorityKeyEntity, ...WORKLOAD_ENTITIES],
    migrations: [
      { name: "20260101000000-certificate-authorities", class: CreateCertificateAuthorities },
      { name: "001-workload-identities", class: CreateWorkloadIdentities },
    ],
    sinks: [
      {
        append: async () => {
          if (state.failsToRecord) throw new Error("no audit");
        },
      },
    ],
  });
  t.after(() => opened.close());
  const { database } = opened;
  const backend = new FakeKeyBackend();
  const common = { database, clock: systemClock, clusterName: "prod" };
  await createMissingAuthorities({ ...common, backendName: "fake", backend });
  const authorities = new KeyBackedAuthorities({ ...common, logger: silentLogger, backendOf: () => backend });
  await authorities.load();
  const issuer = new SvidIssuer({ authorities, clock: systemClock, clusterName: "prod" });
  const authority: SpiffeAuthority = {
    trustDomain: () => issuer.trustDomain(),
    bundle: () => issuer.bundle(),
    issueX509Svid: async (request) => {
      const svid = await issuer.issueX509Svid(request);
      await state.beforeSigned();
      return svid;
    },
    issueJwtSvid: (request) => issuer.issueJwtSvid(request),
  };
  const service = new WorkloadService(database, systemClock);
  const { workload } = await service.put(PAYMENTS, { userName: "eve" });
  const workloads = new FakeCollection<StoredWorkloadIdentity>();
  workloads.set("payments", workload);
  const nodes = new FakeCollection<NodeEntry>();
  nodes.set("web-01", nodeWith("eu"));
  const directory = new WorkloadDirectory({ workloads, nodes, caKeys: new FakeCollection(), authority });
  const instances = new FakeCollection<MachineInstanceEntry>();
  for (const [id, machine] of Object.entries(INSTANCES)) instances.set(id, { machine, generation: 1, lockReason: "" });
  const locked = new Set<string>();
  const guard: Guard = {
    refusal: ({ instance = "" }) => (locked.has(instance) ? { message: "locked", detail: "lock 1" } : null),
    onChange: () => () => {},
  };
  const standing = { instances, guards: { all: () => [guard] } };
  const svids = new SvidService({ database, directory, authority, standing, jwtIssuer: "https://id.example.com" });
  return Object.assign(state, {
    ...{ backend, workloads, svids, nodes, instances, locked, stored: workload },
    order: (): Pick<SvidOrder, "entry" | "revision"> => ({
      entry: "payments",
      revision: directory.entryFor("web-01", "payments")?.revision ?? "",
    }),
    events: (type: string) => opened.audits.filter((event) => event.type === type),
  });
}
