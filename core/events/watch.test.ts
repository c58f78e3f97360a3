import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { type TestContext, test } from "node:test";
import { WatchServiceService } from "../../proto/gen/mezite/core/v1/watch.js";
import { freePorts } from "../../test/fixtures/free-ports.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { type TestAuthority, testAuthority } from "../../test/fixtures/tls.js";
import type { Caller } from "../plugin/caller.js";
import type { Collection, CollectionKind } from "../plugin/collection.js";
import type { RpcClient, RpcConnection, RpcDefinition, RpcService } from "../plugin/rpc.js";
import { Secret } from "../plugin/secret.js";
import { grpcDialer } from "../rpc/client.js";
import { AnonymousCallLimiter } from "../rpc/interceptors/limit.js";
import { RpcServer } from "../rpc/server.js";
import { systemClock } from "../time/clock.js";
import { LocalCollections } from "./local-collections.js";
import { RemoteCollections } from "./remote-collections.js";
import { WATCH_HOLDERS, WATCH_RPC, watchHandlers } from "./watch.js";

const ROLES: CollectionKind<string> = { name: "roles", version: 1, visibleTo: () => true };
/** A node sees its own entry. */
const NODES: CollectionKind<string> = {
  name: "nodes",
  version: 1,
  visibleTo: (caller: Caller, key: string) => caller.kind === "agent" && caller.name === key,
};

async function serve(
  t: TestContext,
  authority: TestAuthority,
  collections: LocalCollections,
  address?: string,
): Promise<{ server: RpcServer; address: string }> {
  const { watch } = watchHandlers(collections);
  const server = new RpcServer({
    router: () => ({
      permission: "cluster:use",
      holders: WATCH_HOLDERS,
      handler: (request, call) => watch(request as never, call),
      lease: () => () => {},
    }),
    authenticators: () => [
      {
        authenticate: async ({ clientCertificate }) => {
          if (clientCertificate === null) return null;
          const name = new X509Certificate(clientCertificate).subject.slice("CN=".length);
          return { kind: "agent", id: "0", name, role: "node", certificateSerial: "1", certificateExpiresAt: new Date() };
        },
      },
    ],
    authorizer: () => ({ refusal: () => null }),
    anonymousCalls: new AnonymousCallLimiter({ burst: 10, perSecond: 1 }, systemClock),
    audit: () => {},
    logger: silentLogger,
  });
  server.serve(WATCH_RPC as unknown as RpcService<RpcDefinition>);
  const credentials = {
    ...(await authority.issue("localhost")),
    name: "auth",
    id: "0",
    role: "auth" as const,
    sshPrivateKey: new Secret(""),
    sshCertificate: Buffer.alloc(0),
    expiresAt: new Date(),
  };
  const listening = await server.listen(address ?? `localhost:${(await freePorts(1))[0]}`, credentials);
  t.after(() => server.close());
  return { server, address: `localhost:${listening.slice(listening.lastIndexOf(":") + 1)}` };
}

async function dial(authority: TestAuthority, address: string, name = "web-01"): Promise<RpcConnection> {
  const { certificatePem, privateKeyPem } = await authority.issue(name);
  return grpcDialer.dial({
    addresses: [address],
    trust: { kind: "authorities", certificatesPem: [authority.certificatePem] },
    identity: { certificatePem, privateKeyPem },
  });
}

async function follow(t: TestContext, authority: TestAuthority, address: string, name = "web-01"): Promise<RemoteCollections> {
  const connection = await dial(authority, address, name);
  const remote = new RemoteCollections(silentLogger);
  remote.follow(connection);
  t.after(async () => {
    await remote.close();
    connection.close();
  });
  return remote;
}

/** Resolves when `key` has `value`; the test's own time limit is the only other end. */
function becomes(collection: Collection<string>, key: string, value: string | undefined): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (collection.get(key) !== value) return;
      stop();
      resolve();
    };
    const stop = collection.onChange(look);
    look();
  });
}

test("copies what is there, then follows every change", { timeout: 120_000 }, async (t) => {
  const authority = await testAuthority();
  const local = new LocalCollections();
  await local.publish(ROLES, { entries: async () => [["dev", "a"]] });
  const { address } = await serve(t, authority, local);
  const remote = await follow(t, authority, address);
  await remote.ready();
  const roles = remote.of(ROLES);
  assert.equal(roles.get("dev"), "a");
  local.apply([
    { kind: "roles@1", key: "dev", value: "b" },
    { kind: "roles@1", key: "ops", value: "c" },
    { kind: "roles@1", key: "dev" },
  ]);
  await becomes(roles, "ops", "c");
  await becomes(roles, "dev", undefined);
  assert.ok(remote.silentSeconds() < 20);
});

test("shows a watcher only what it may see, in the copy and in changes", { timeout: 120_000 }, async (t) => {
  const authority = await testAuthority();
  const local = new LocalCollections();
  await local.publish(NODES, {
    entries: async () => [
      ["web-01", "mine"],
      ["web-02", "not mine"],
    ],
  });
  await local.publish(ROLES, { entries: async () => [] });
  const { address } = await serve(t, authority, local);
  const remote = await follow(t, authority, address);
  await remote.ready();
  local.apply([
    { kind: "nodes@1", key: "web-02", value: "still not mine" },
    { kind: "secrets@1", key: "x", value: "never published" },
    { kind: "roles@1", key: "mark", value: "seen" },
  ]);
  await becomes(remote.of(ROLES), "mark", "seen");
  assert.deepEqual([...remote.of(NODES).entries()], [["web-01", "mine"]]);
  assert.equal(remote.of({ name: "secrets", version: 1, visibleTo: () => true }).size, 0);
});

test("a watcher that knows no batches gets one message after the other", { timeout: 120_000 }, async (t) => {
  const authority = await testAuthority();
  const local = new LocalCollections();
  await local.publish(ROLES, {
    entries: async () => [
      ["dev", "a"],
      ["ops", "b"],
    ],
  });
  const { address } = await serve(t, authority, local);
  const connection = await dial(authority, address);
  t.after(() => connection.close());
  for (const [batches, expected] of [
    [false, ["put", "put", "snapshotComplete"]],
    [true, ["batch"]],
  ] as const) {
    const stream = new AbortController();
    const seen: (string | undefined)[] = [];
    for await (const { message } of connection.client(WatchServiceService).watch({ batches }, { signal: stream.signal })) {
      seen.push(message?.$case);
      if (seen.length === expected.length) break;
    }
    stream.abort();
    assert.deepEqual(seen, expected);
  }
});

test("a collection that comes while somebody watches is shown whole, and is empty when it has gone", {
  timeout: 120_000,
}, async (t) => {
  const authority = await testAuthority();
  const local = new LocalCollections();
  await local.publish(NODES, { entries: async () => [] });
  const { address } = await serve(t, authority, local);
  const remote = await follow(t, authority, address);
  await remote.ready();
  await local.publish(ROLES, { entries: async () => [["dev", "from before"]] });
  await becomes(remote.of(ROLES), "dev", "from before");
  local.withdraw(ROLES);
  await becomes(remote.of(ROLES), "dev", undefined);
});

test("keeps its copy while the server is away, and catches up after", { timeout: 120_000 }, async (t) => {
  const authority = await testAuthority();
  const local = new LocalCollections();
  await local.publish(ROLES, {
    entries: async () => [
      ["kept", "a"],
      ["gone", "b"],
    ],
  });
  const first = await serve(t, authority, local);
  const remote = await follow(t, authority, first.address);
  await remote.ready();
  await first.server.close();
  assert.equal(remote.of(ROLES).get("kept"), "a");
  local.apply([
    { kind: "roles@1", key: "gone" },
    { kind: "roles@1", key: "new", value: "c" },
  ]);
  await serve(t, authority, local, first.address);
  await becomes(remote.of(ROLES), "new", "c");
  await becomes(remote.of(ROLES), "gone", undefined);
  assert.equal(remote.of(ROLES).get("kept"), "a");
});

test("shows watchers a collection that is published while they watch, and what differs when it is published again", {
  timeout: 120_000,
}, async (t) => {
  const authority = await testAuthority();
  const local = new LocalCollections();
  const { address } = await serve(t, authority, local);
  const remote = await follow(t, authority, address);
  await remote.ready();
  const entries: [string, string][] = [
    ["dev", "a"],
    ["ops", "b"],
  ];
  await local.publish(ROLES, { entries: async () => entries });
  await becomes(remote.of(ROLES), "ops", "b");
  assert.equal(remote.of(ROLES).get("dev"), "a");
  const told: string[] = [];
  remote.of(ROLES).onChange((key) => void told.push(key));
  await local.publish(ROLES, { entries: async () => [["dev", "c"], ...entries.slice(2)] });
  await becomes(remote.of(ROLES), "dev", "c");
  assert.deepEqual([told, [...remote.of(ROLES).entries()]], [["ops", "dev"], [["dev", "c"]]]);
  local.withdraw(ROLES);
  const late = await follow(t, authority, address, "web-02");
  await late.ready();
  await local.publish(ROLES, { entries: async () => [["dev", "c"]] });
  await becomes(late.of(ROLES), "dev", "c");
});

test("a collection has what is committed while its source is read", async () => {
  const local = new LocalCollections();
  await local.publish(ROLES, {
    entries: async () => {
      local.apply([
        { kind: "roles@1", key: "dev", value: "new" },
        { kind: "roles@1", key: "ops" },
        { kind: "nodes@1", key: "dev", value: "another" },
      ]);
      return [
        ["dev", "old"],
        ["ops", "old"],
        ["qa", "old"],
      ];
    },
  });
  assert.deepEqual([...local.of(ROLES).entries()].sort(), [
    ["dev", "new"],
    ["qa", "old"],
  ]);
});

test("is as old as its last whole copy until the next one is whole", async (t) => {
  let go: () => void = () => {};
  const complete = new Promise<void>((resolve) => {
    go = resolve;
  });
  async function* watch(_request: unknown, { signal }: { readonly signal: AbortSignal }) {
    yield { message: { $case: "put", put: { kind: "roles@1", key: "dev", value: '"a"' } } };
    await complete;
    yield { message: { $case: "snapshotComplete", snapshotComplete: {} } };
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
  }
  const client = { watch } as unknown as RpcClient<RpcDefinition>;
  const remote = new RemoteCollections(silentLogger);
  t.after(() => remote.close());
  remote.follow({
    client: () => client,
    serverFingerprint: async () => Buffer.alloc(0),
    serverAuthority: () => null,
    close() {},
  } as RpcConnection);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(remote.silentSeconds(), Number.POSITIVE_INFINITY);
  go();
  await remote.ready();
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(remote.silentSeconds() < 10);
});

test("a process that never reached the auth service has been silent for ever", () => {
  assert.equal(new RemoteCollections(silentLogger).silentSeconds(), Number.POSITIVE_INFINITY);
});

test("nobody makes a stream look younger or older by setting the clock", { timeout: 120_000 }, async (t) => {
  async function* watch(_request: unknown, { signal }: { signal: AbortSignal }): AsyncIterable<unknown> {
    yield { message: { $case: "snapshotComplete", snapshotComplete: {} } };
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
  }
  const client = { watch } as unknown as RpcClient<RpcDefinition>;
  let steady = 1000;
  const remote = new RemoteCollections(silentLogger, () => steady);
  t.after(() => remote.close());
  remote.follow({
    client: () => client,
    serverFingerprint: async () => Buffer.alloc(0),
    serverAuthority: () => null,
    close() {},
  } as RpcConnection);
  await remote.ready();
  await new Promise((resolve) => setImmediate(resolve));
  steady += 30;
  for (const stepMs of [-3_600_000, 3_600_000]) {
    t.mock.timers.enable({ apis: ["Date"], now: Date.now() + stepMs });
    assert.equal(remote.silentSeconds(), 30);
    t.mock.timers.reset();
  }
});
