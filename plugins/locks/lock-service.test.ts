import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { CollectionRegistry, kindId } from "../../core/events/collections.js";
import type { CollectionKind } from "../../core/plugin/collection.js";
import { openTestDatabase, type TestDatabase } from "../../test/fixtures/database.js";
import { refuses } from "../../test/fixtures/refuses.js";
import { ROLES_COLLECTION, USERS_COLLECTION } from "../roles/api.js";
import type { Lock, LockTarget } from "./api.js";
import { parseLockTarget, planLock } from "./lock.js";
import { LOCK_ENTITIES } from "./lock-repository.js";
import { LockService } from "./lock-service.js";
import { CreateLocks } from "./migrations/001-locks.js";

const AUTHOR = { userName: "root", userRoles: ["admin"], clientIp: "192.0.2.7" };
const ALICE = parseLockTarget("user", "alice");
const clock = { time: 0, now: () => new Date(clock.time) };
let opened: TestDatabase;
let registry: CollectionRegistry;
let locks: LockService;

before(async () => {
  opened = await openTestDatabase({ entities: LOCK_ENTITIES, migrations: [{ name: "001-locks", class: CreateLocks }], clock });
});
after(() => opened.close());
beforeEach(async () => {
  clock.time = Date.parse("2026-03-01T12:00:00Z");
  registry = new CollectionRegistry();
  locks = new LockService({
    database: opened.database,
    clock,
    users: registry.of(USERS_COLLECTION),
    roles: registry.of(ROLES_COLLECTION),
  });
  for (const { id } of await locks.list()) await locks.delete(id, AUTHOR);
  for (const list of [opened.audits, opened.puts, opened.removes]) list.length = 0;
  for (const role of ["admin", "dev"]) put(ROLES_COLLECTION, role, {});
  user("root", ["admin"]);
  user("alice", ["dev"]);
});

test("locks a target: a row, an entry for proxies and nodes, and an audit record in one commit", async () => {
  const lock = await create(ALICE, { message: "Security review", ttlSeconds: 3600 });
  assert.deepEqual(await locks.list(), [lock]);
  const entry = { target: ALICE, message: "Security review", expiresAt: "2026-03-01T13:00:00.000Z" };
  assert.deepEqual(opened.puts.at(-1), { name: "locks", key: lock.id, value: entry });
  assert.deepEqual(await locks.entries(), [[lock.id, entry]]);
  const { type, userName, resourceType, resourceName, metadata } = opened.audits.at(-1) ?? {};
  assert.deepEqual([type, userName, resourceType, resourceName], ["lock.created", "root", "user", "alice"]);
  assert.equal(metadata?.["lock_id"], lock.id);
});

test("a target carries several locks; deleting one by id leaves the other", async () => {
  const first = await create(ALICE);
  clock.time += 1000;
  const second = await create(ALICE, { ttlSeconds: 60 });
  assert.deepEqual(
    (await locks.list()).map(({ id }) => id),
    [second.id, first.id],
  );
  assert.deepEqual(await locks.delete(second.id, AUTHOR), second);
  assert.deepEqual(await locks.list(), [first]);
  assert.deepEqual(opened.removes, [{ name: "locks", key: second.id, value: undefined }]);
});

test("deleting by target deletes all locks on it, and no other", async () => {
  const kept = await create(parseLockTarget("role", "dev"));
  await create(ALICE);
  await create(ALICE);
  assert.equal((await locks.deleteOn(ALICE, AUTHOR)).length, 2);
  assert.deepEqual(await locks.list(), [kept]);
  assert.equal(opened.audits.filter(({ type }) => type === "lock.deleted").length, 2);
  await refuses(locks.deleteOn(ALICE, AUTHOR), "LOCK_NOT_FOUND");
  await refuses(locks.delete("7f3a", AUTHOR), "LOCK_NOT_FOUND");
});

test("an expired lock is gone at once, and its row after the next sweep", async () => {
  const lock = await create(ALICE, { ttlSeconds: 60 });
  clock.time += 60_000;
  assert.deepEqual(await locks.list(), []);
  assert.deepEqual(await locks.entries(), []);
  await refuses(locks.delete(lock.id, AUTHOR), "LOCK_NOT_FOUND");
  assert.deepEqual([await locks.sweep(), await locks.sweep()], [1, 0]);
  assert.deepEqual(opened.removes.at(-1)?.key, lock.id);
  assert.equal(opened.audits.at(-1)?.metadata?.["reason"], "expired");
});

for (const [type, name, code] of [
  ["user", "alcie", "USER_NOT_FOUND"],
  ["role", "devs", "ROLE_NOT_FOUND"],
  ["user", "root", "LAST_ADMIN"],
  ["role", "admin", "LAST_ADMIN"],
] as const) {
  test(`refuses to lock ${type} ${name}: ${code}`, async () => {
    await refuses(create(parseLockTarget(type, name)), code);
    assert.deepEqual([await locks.list(), opened.audits], [[], []]);
  });
}

test("an administrator may be locked while another one is not", async () => {
  user("second", ["admin"]);
  await create(parseLockTarget("user", "root"));
  await refuses(create(parseLockTarget("user", "second")), "LAST_ADMIN");
  await create(ALICE);
});

test("a role that the last open administrator also holds cannot be locked", async () => {
  user("root", ["admin", "dev"]);
  await refuses(create(parseLockTarget("role", "dev")), "LAST_ADMIN");
  user("second", ["admin"]);
  await create(parseLockTarget("role", "dev"));
  await refuses(create(parseLockTarget("user", "second")), "LAST_ADMIN");
});

test("two administrators who lock each other at once do not both succeed", async () => {
  user("second", ["admin"]);
  const results = await Promise.allSettled(["root", "second"].map((name) => create(parseLockTarget("user", name))));
  assert.deepEqual(results.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
});

test("what may be locked before it exists: agents, identities and devices", async () => {
  for (const type of ["agent", "agent_identity", "agent_identity_instance", "device"])
    await create(parseLockTarget(type, "not-there-yet"));
  assert.equal((await locks.list()).length, 4);
});

test("other plugins lock inside their own transaction; rolled back, there is no lock", async () => {
  const plan = planLock(parseLockTarget("agent_identity_instance", "7f3a"), "the credentials were copied", 0);
  const failing = opened.database.transaction(async (tx) => {
    await locks.place(tx, plan, "agent-identities");
    throw new Error("something else failed");
  });
  await assert.rejects(failing);
  assert.deepEqual(await locks.list(), []);
  const lock = await opened.database.transaction((tx) => locks.place(tx, plan, "agent-identities"));
  assert.equal(lock.createdBy, "agent-identities");
  assert.deepEqual(await opened.database.transaction((tx) => locks.liftAll(tx, plan.target)), [lock]);
});

function create(
  target: LockTarget,
  { message = "", ttlSeconds = 0 }: { message?: string; ttlSeconds?: number } = {},
): Promise<Lock> {
  return locks.create(planLock(target, message, ttlSeconds), AUTHOR);
}

function user(name: string, roles: readonly string[]): void {
  put(USERS_COLLECTION, name, { roles, traits: { internal: {}, external: {} } });
}

function put<T>(kind: CollectionKind<T>, key: string, value: unknown): void {
  registry.apply([{ kind: kindId(kind), key, value }]);
}
