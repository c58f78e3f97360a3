import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import type {
  WatchWorkloadsMessage,
  WorkloadSnapshot,
} from "../../proto/gen/mezite/workload_identities/v1/workload_identities.js";
import { FakeGuards } from "../../test/fakes/guards.js";
import { FakeCollection } from "../../test/fixtures/ssh/test-node.js";
import { testAuthority } from "../../test/fixtures/tls.js";
import type { TrustBundle } from "../ca/api.js";
import type { NodeEntry } from "../nodes/api.js";
import type { MachineInstanceEntry } from "../roles/api.js";
import { IdentityFollowers } from "./identity-followers.js";
import { WorkloadDirectory } from "./workload-directory.js";
import type { StoredWorkloadIdentity } from "./workload-identity.js";
import { watchWorkloads } from "./workload-watch.js";

const CALLER = { name: "web-01", roles: [], instance: "0f1e2d3c-1111-4222-8333-444455556666" };
const INSTANCE: MachineInstanceEntry = { machine: "identity/web-01", generation: 1, lockReason: "" };
const WORKLOAD: StoredWorkloadIdentity = {
  ...{ name: "payments", description: "", spiffeIdPath: "/{{node.labels.env}}/payments", hint: "" },
  ...{ agentIdentities: ["web-01"], nodeLabels: {}, dnsSans: [], x509TtlSeconds: 3600, jwtTtlSeconds: 300 },
  unix: { uids: [1000], gids: [], paths: [], sha256: [] },
  ...{ id: "1", createdBy: "eve", createdAt: "2026-01-01T00:00:00.000Z" },
};

test("sends a snapshot, and another one for each change that says something else", async (t) => {
  const bed = await open(t);
  const ids = async () => (await bed.snapshot()).entries.map(({ spiffeId }) => spiffeId);
  assert.deepEqual(await ids(), []);
  bed.workloads.set("payments", WORKLOAD);
  bed.nodes.set("web-01", node("eu"));
  assert.deepEqual(await ids(), ["spiffe://prod/eu/payments"]);
  bed.nodes.set("web-02", node("eu"));
  bed.workloads.set("other", { ...WORKLOAD, name: "other", agentIdentities: ["web-02"] });
  bed.nodes.set("web-01", node("us"));
  assert.deepEqual(await ids(), ["spiffe://prod/us/payments"]);
  bed.rotate();
  assert.equal((await bed.snapshot()).bundle?.sequence, 2);
  bed.workloads.set("payments", undefined);
  assert.deepEqual(await ids(), []);
});

test("sends heartbeats while nothing changes", async (t) => {
  const bed = await open(t, 5);
  await bed.snapshot();
  assert.equal((await bed.next())?.message?.$case, "heartbeat");
});

test("ends at once when the identity is locked or deleted", async (t) => {
  const locked = await open(t);
  await locked.snapshot();
  locked.guards.refuse(({ agentIdentity }) => agentIdentity === "web-01");
  await assert.rejects(locked.next(), (error) => isMezError(error, "ACCESS_DENIED") && /locked for a test/.test(error.message));
  const deleted = await open(t);
  await deleted.snapshot();
  deleted.instances.set("another of the name", INSTANCE);
  deleted.instances.set(CALLER.instance, undefined);
  await assert.rejects(deleted.next(), (error) => isMezError(error, "UNAUTHENTICATED"));
  const copied = await open(t);
  await copied.snapshot();
  copied.instances.set(CALLER.instance, { ...INSTANCE, lockReason: "two holders" });
  await assert.rejects(copied.next(), (error) => isMezError(error, "ACCESS_DENIED") && /two holders/.test(error.message));
});

test("a daemon follows the SPIFFE CA from its first snapshot on, and for a day after its last", async (t) => {
  const bed = await open(t);
  assert.deepEqual(bed.followers.all(), []);
  await bed.snapshot();
  const follower = { kind: "identity", name: "web-01 (instance 0f1e2d3c)", follows: ["spiffe"] };
  assert.deepEqual(bed.followers.all(), [{ ...follower, report: null }]);
  bed.followers.report(CALLER, [Buffer.alloc(32, 0xab)]);
  const trusted = { spiffe: [Array(32).fill("AB").join(":")] };
  assert.deepEqual(bed.followers.all(), [{ ...follower, report: { trusted, certificateAuthority: "" } }]);
  await bed.stop();
  assert.equal(bed.followers.all().length, 1);
  bed.clock.time += 86_400_001;
  assert.deepEqual(bed.followers.all(), []);
  assert.throws(
    () => bed.followers.report(CALLER, []),
    (error) => isMezError(error, "CONFLICT"),
  );
  const again = await open(t);
  await again.snapshot();
  again.followers.forget("web-01");
  assert.deepEqual(again.followers.all(), []);
  for (const prints of [[Buffer.alloc(31)], Array(9).fill(Buffer.alloc(32)) as Buffer[]])
    assert.throws(
      () => again.followers.report(CALLER, prints),
      (error) => isMezError(error, "INVALID_ARGUMENT"),
    );
});

// --- internal ---

function node(env: string): NodeEntry {
  return { id: "n-1", name: "web-01", kind: "agent", hostname: "web-01", labels: { env } };
}

async function open(t: TestContext, heartbeatMs = 60_000) {
  const { certificatePem } = await testAuthority("SPIFFE CA");
  const clock = { time: 0, now: () => new Date(clock.time) };
  const bundleOf = (sequence: number): TrustBundle => ({
    sshPublicKeys: [],
    certificatesPem: [certificatePem],
    spiffe: {
      ...{ trustDomain: "prod", sequence, refreshHintSeconds: 300 },
      ...{ jwtAuthorities: [], bundleJson: "{}", jwksJson: "{}" },
    },
  });
  const workloads = new FakeCollection<StoredWorkloadIdentity>();
  const nodes = new FakeCollection<NodeEntry>();
  const caKeys = new FakeCollection<TrustBundle>();
  caKeys.set("spiffe", bundleOf(1));
  const instances = new FakeCollection<MachineInstanceEntry>();
  instances.set(CALLER.instance, INSTANCE);
  const guards = new FakeGuards();
  const followers = new IdentityFollowers(clock);
  const directory = new WorkloadDirectory({ workloads, nodes, caKeys, authority: { trustDomain: () => "prod" } });
  const ended = new AbortController();
  const parts = { directory, instances, guards, followers, heartbeatMs };
  const messages = watchWorkloads(parts, CALLER, ended.signal)[Symbol.asyncIterator]();
  const stop = async (): Promise<void> => {
    ended.abort();
    await messages.return?.();
  };
  t.after(stop);
  const next = async (): Promise<WatchWorkloadsMessage | undefined> => {
    const { value } = (await messages.next()) as IteratorResult<WatchWorkloadsMessage, undefined>;
    return value;
  };
  return {
    ...{ workloads, nodes, instances, guards, followers, clock, next, stop },
    rotate: () => caKeys.set("spiffe", bundleOf(2)),
    snapshot: async (): Promise<WorkloadSnapshot> => {
      const message = (await next())?.message;
      assert.ok(message?.$case === "snapshot");
      return message.snapshot;
    },
  };
}
