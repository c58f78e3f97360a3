import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { CollectionRegistry, kindId } from "../../core/events/collections.js";
import type { CollectionKind } from "../../core/plugin/collection.js";
import { testUserData } from "../../test/contracts/user-data.js";
import { FakeGuards } from "../../test/fakes/guards.js";
import { openTestDatabase, type TestDatabase } from "../../test/fixtures/database.js";
import { refuses } from "../../test/fixtures/refuses.js";
import { NODES } from "../nodes/api.js";
import { GRANTS_COLLECTION, ROLES_COLLECTION, type RoleRules, USERS_COLLECTION } from "../roles/api.js";
import { BUILT_IN_ROLES } from "../roles/built-in-roles.js";
import { LiveAccess } from "../roles/live-access.js";
import type { AccessRequest } from "./access-request.js";
import { CreateAccessRequests } from "./migrations/001-access-requests.js";
import { NOTIFICATION_ENTITIES } from "./notification-repository.js";
import type { Person } from "./request-people.js";
import { findRequests, REQUEST_ENTITIES } from "./request-repository.js";
import { RequestService } from "./request-service.js";

const NOTHING: RoleRules = { nodeLabels: {}, appLabels: {}, logins: [], requestRoles: [], requestResources: [], reviewRoles: [] };
const OPTIONS = BUILT_IN_ROLES[0]!.options;
const clock = { time: 0, now: () => new Date(clock.time) };
const told: string[] = [];
let approvalsNeeded = 1;
let opened: TestDatabase;
let registry: CollectionRegistry;
let access: LiveAccess;
let requests: RequestService;
let guards: FakeGuards;

before(async () => {
  opened = await openTestDatabase({
    entities: [...REQUEST_ENTITIES, ...NOTIFICATION_ENTITIES],
    migrations: [{ name: "001-access-requests", class: CreateAccessRequests }],
    clock,
  });
});
after(() => opened.close());

beforeEach(async () => {
  clock.time = Date.parse("2026-03-01T12:00:00Z");
  approvalsNeeded = 1;
  guards = new FakeGuards();
  registry = new CollectionRegistry();
  const [roles, users] = [registry.of(ROLES_COLLECTION), registry.of(USERS_COLLECTION)];
  access = new LiveAccess(roles, users, undefined, { grants: registry.of(GRANTS_COLLECTION), clock });
  requests = new RequestService({
    ...{ database: opened.database, clock, access, users, roles, nodes: registry.of(NODES), guards },
    settings: { get: () => approvalsNeeded as never, onChange: () => () => {} },
    lifetimes: { defaultTtlSeconds: 3600, maxTtlSeconds: 86_400, pendingTtlSeconds: 7200 },
    announce: async (_tx, type, { user }, by) => void told.push(`${type} ${user} ${by}`),
  });
  await opened.database.transaction(async ({ em }) => {
    for (const entity of REQUEST_ENTITIES) await em.nativeDelete(entity, {});
  });
  for (const list of [opened.audits, opened.puts, opened.removes, told]) list.length = 0;
  for (const role of BUILT_IN_ROLES) put(ROLES_COLLECTION, role.name, role);
  role("dev", { requestRoles: ["production", "short"], requestResources: ["db-01"], logins: ["deploy"] });
  role("production", { nodeLabels: { env: ["production"] }, logins: ["deploy"] });
  role("short", { nodeLabels: { env: ["staging"] }, logins: ["deploy"] }, 600);
  role("lead", { reviewRoles: ["production", "dev"] });
  user("alice", ["dev"]);
  user("bob", ["lead"]);
  user("carol", ["lead"]);
  user("root", ["admin"]);
  for (const [name, env] of [
    ["web-01", "production"],
    ["db-01", "database"],
  ] as const)
    put(NODES, name, { id: name, name, kind: "agent", hostname: "", labels: { env } });
});

test("an approval gives the role for a time: a row, a grant for proxies and nodes, and audit records", async () => {
  const request = await ask({ roles: ["production"], reason: "ticket 4711" });
  assert.deepEqual([request.state, request.ttlSeconds, request.approvalsNeeded], ["pending", 3600, 1]);
  assert.deepEqual(access.holdings("alice").roles, ["dev"]);
  const approved = await review("bob", request, true);
  assert.equal(approved.state, "approved");
  const until = "2026-03-01T13:00:00.000Z";
  assert.deepEqual(opened.puts.at(-1), {
    name: "access-grants",
    key: request.id,
    value: { user: "alice", roles: ["production"], nodes: [], until },
  });
  follow();
  assert.deepEqual(access.holdings("alice"), { roles: ["dev", "production"], until: new Date(until) });
  assert.deepEqual(await requests.entries(), [[request.id, opened.puts.at(-1)?.value]]);
  const types = opened.audits.map(({ type, userName }) => `${type} ${userName}`);
  assert.deepEqual(types, ["access_request.created alice", "access_request.approved bob"]);
  assert.deepEqual(told, ["access_request.created alice alice", "access_request.approved alice bob"]);
});

test("a granted role opens its nodes to a certificate that names it, and to no other", async () => {
  await approved({ roles: ["production"] });
  const node = { name: "web-01", labels: { env: "production" } };
  const decide = (roles: readonly string[]) => access.decide({ user: "alice", roles, node, login: "deploy" }).allowed;
  assert.deepEqual([decide(["dev"]), decide(["dev", "production"])], [false, true]);
  clock.time += 3_600_000;
  assert.equal(decide(["dev", "production"]), false, "the end of a grant needs nobody to say so");
});

test("a single node is reached through the role that offers it, and only that node", async () => {
  const request = await approved({ nodes: ["db-01"] });
  const reach = (name: string) => access.decideReach({ user: "alice", roles: ["dev"], node: { name, labels: {} } }).allowed;
  assert.deepEqual([reach("db-01"), reach("db-02")], [true, false]);
  await requests.revoke(request.id, "", person("root"), true);
  follow();
  assert.equal(reach("db-01"), false);
});

for (const [what, asked, code] of [
  ["a role that may not be asked for", { roles: ["admin"] }, "ACCESS_DENIED"],
  ["a role that does not exist", { roles: ["nothing"] }, "ACCESS_DENIED"],
  ["a role that the person has", { roles: ["dev"] }, "INVALID_ARGUMENT"],
  ["a node that no role offers", { nodes: ["web-01"] }, "ACCESS_DENIED"],
  ["a node that does not exist", { nodes: ["db-99"] }, "ACCESS_DENIED"],
  ["nothing", {}, "INVALID_ARGUMENT"],
  ["a reason of two lines", { roles: ["production"], reason: "a\nb" }, "INVALID_ARGUMENT"],
  ["a lifetime below nothing", { roles: ["production"], ttlSeconds: -1 }, "INVALID_ARGUMENT"],
] as const) {
  test(`nobody asks for ${what}`, async () => {
    await refuses(ask(asked), code);
    assert.deepEqual(opened.audits, []);
  });
}

test("deny wins over allow for what may be asked for", async () => {
  put(ROLES_COLLECTION, "careful", {
    ...roleOf("careful", {}),
    deny: { ...NOTHING, requestRoles: ["production"], requestResources: ["db-01"] },
  });
  user("alice", ["dev", "careful"]);
  await refuses(ask({ roles: ["production"] }), "ACCESS_DENIED");
  await refuses(ask({ nodes: ["db-01"] }), "ACCESS_DENIED");
});

test("the cap of a role shortens the access, and says so when it was asked for", async () => {
  const service = (ttlSeconds: number) =>
    requests.create({ roles: ["short"], nodes: [], reason: "", ttlSeconds }, person("alice"));
  const [asked, usual] = [await service(7200), await service(0)];
  assert.deepEqual([asked.request.ttlSeconds, usual.request.ttlSeconds, usual.notice], [600, 600, ""]);
  assert.match(asked.notice, /shortened from 2h to 10m: max_session_ttl/);
});

test("nobody reviews their own request, or one that they may not review, or one twice", async () => {
  user("alice", ["dev", "lead", "admin"]);
  const own = await ask({ roles: ["production"] });
  await refuses(review("alice", own, true), "ACCESS_DENIED");
  user("dave", ["dev"]);
  await refuses(review("dave", own, true), "NOT_FOUND");
  approvalsNeeded = 2;
  const shared = await ask({ roles: ["production"] });
  await review("bob", shared, true);
  await refuses(review("bob", shared, true), "CONFLICT");
  assert.equal((await review("carol", shared, true)).state, "approved");
  await refuses(review("root", shared, false), "CONFLICT");
});

test("fifty who approve at once are counted one by one", async () => {
  approvalsNeeded = 3;
  const request = await ask({ roles: ["production"] });
  const names = Array.from({ length: 50 }, (_, number) => `lead-${number}`);
  for (const name of names) user(name, ["lead"]);
  const results = await Promise.allSettled(names.map((name) => review(name, request, true)));
  assert.equal(results.filter(({ status }) => status === "fulfilled").length, 3);
  assert.equal(opened.puts.length, 1);
});

test("an approval does not count when its reviewer has lost the role or is gone", async () => {
  approvalsNeeded = 2;
  const request = await ask({ roles: ["production"] });
  await review("bob", request, true);
  user("bob", ["dev"]);
  assert.equal((await review("carol", request, true)).state, "pending");
  assert.equal((await review("root", request, true)).state, "approved");
});

test("one denial is enough", async () => {
  approvalsNeeded = 2;
  const request = await ask({ roles: ["production"] });
  await review("bob", request, true);
  assert.equal((await review("carol", request, false)).state, "denied");
  assert.deepEqual(opened.puts, []);
});

test("what may not be asked for any more is not granted", async () => {
  const request = await ask({ roles: ["production"] });
  role("dev", {});
  await refuses(review("bob", request, true), "CONFLICT");
  assert.equal((await requests.get(request.id, person("alice"), false)).state, "pending");
  assert.deepEqual(opened.puts, []);
});

test("is cancelled by the requester only, and only while it is pending", async () => {
  const request = await ask({ roles: ["production"] });
  await refuses(requests.cancel(request.id, person("bob")), "ACCESS_DENIED");
  assert.equal((await requests.cancel(request.id, person("alice"))).state, "cancelled");
  await refuses(requests.cancel(request.id, person("alice")), "CONFLICT");
});

test("is revoked by an admin or by who approved it, at once", async () => {
  const request = await approved({ roles: ["production"] });
  await refuses(requests.revoke(request.id, "", person("carol"), false), "ACCESS_DENIED");
  assert.equal((await requests.revoke(request.id, "done", person("bob"), false)).state, "revoked");
  assert.deepEqual(opened.removes.at(-1)?.key, request.id);
  follow();
  assert.deepEqual(access.holdings("alice").roles, ["dev"]);
});

test("ends by itself: what is granted expires, what nobody decided is cancelled", async () => {
  const [granted, waiting] = [await approved({ roles: ["production"] }), await ask({ roles: ["short"] })];
  assert.equal(await requests.sweep(), 0);
  clock.time += 7_200_000;
  assert.equal(await requests.sweep(), 2);
  assert.deepEqual(
    await Promise.all([granted, waiting].map(async ({ id }) => (await requests.get(id, person("root"), true)).state)),
    ["expired", "cancelled"],
  );
  assert.equal(opened.removes.length, 1);
  assert.deepEqual(await requests.entries(), []);
});

test("who gets the name of somebody who was deleted inherits nothing", async () => {
  const request = await approved({ roles: ["production"] });
  const open = await ask({ roles: ["short"] });
  await opened.database.transaction((tx) => requests.forget(tx, "alice"));
  await opened.database.transaction((tx) => requests.forget(tx, "alice"));
  assert.deepEqual((await requests.list({}, 10, person("root"), true)).map(({ state }) => state).sort(), [
    "cancelled",
    "revoked",
  ]);
  assert.equal(opened.removes[0]?.key, request.id);
  assert.notEqual(open.id, request.id);
});

testUserData("access-requests", async () => {
  const count = (state: "pending" | "approved", name: string) =>
    opened.database.read(async (em) => (await findRequests(em, { state, user: name }, 100)).length);
  return {
    ...{ database: opened.database, userData: { forget: (tx, name) => requests.forget(tx, name) } },
    keep: async (name) => {
      user(name, ["dev", "lead"]);
      await approved({ roles: ["production"] }, name, name === "bob" ? "carol" : "bob");
      await ask({ roles: ["short"] }, name);
    },
    kept: async (name) => (await count("approved", name)) + (await count("pending", name)),
    close: async () => {},
  };
});

test("a grant lasts no longer than its roles allow when it is approved", async () => {
  const request = await ask({ roles: ["production"], ttlSeconds: 3600 });
  role("production", { nodeLabels: { env: ["production"] }, logins: ["deploy"] }, 600);
  const { until } = await review("bob", request, true);
  assert.deepEqual(until, new Date(clock.time + 600_000));
});

test("the approval of somebody who is locked does not count until they are not", async () => {
  approvalsNeeded = 2;
  const request = await ask({ roles: ["production"] });
  await review("bob", request, true);
  guards.refuse(({ user }) => user === "bob");
  assert.equal((await review("carol", request, true)).state, "pending");
  guards.refuse(() => false);
  user("dave", ["lead"]);
  assert.equal((await review("dave", request, true)).state, "approved");
});

test("the approval of somebody who was deleted does not count for who gets the name", async () => {
  approvalsNeeded = 2;
  const request = await ask({ roles: ["production"] });
  await review("bob", request, true);
  await opened.database.transaction((tx) => requests.forget(tx, "bob"));
  assert.equal((await review("carol", request, true)).state, "pending");
  assert.equal((await review("bob", request, true)).state, "approved");
  await opened.database.transaction((tx) => requests.forget(tx, "bob"));
  assert.equal((await requests.get(request.id, person("root"), true)).reviews.length, 2);
});

test("shows people their own, what they may review, and nothing else", async () => {
  await ask({ roles: ["production"] });
  await ask({ roles: ["short"] });
  user("dave", ["dev"]);
  const seen = async (name: string, isOverseer = false) => (await requests.list({}, 10, person(name), isOverseer)).length;
  assert.deepEqual(
    [await seen("alice"), await seen("bob"), await seen("dave"), await seen("root"), await seen("dave", true)],
    [2, 1, 0, 2, 2],
  );
});

test("what somebody may not see does not push what they may see out of a list", async () => {
  const old = await ask({ roles: ["production"] });
  for (let count = 0; count < 210; count += 1) {
    clock.time += 1;
    const { id } = await ask({ roles: ["short"] });
    await requests.cancel(id, person("alice"));
  }
  assert.deepEqual(
    (await requests.list({}, 10, person("bob"), false)).map(({ id }) => id),
    [old.id],
  );
});

test("says what to ask for to reach a node", () => {
  assert.deepEqual(requests.people.suggest("web-01", person("alice")), { reachable: false, roles: ["production"], node: false });
  assert.deepEqual(requests.people.suggest("db-01", person("alice")), { reachable: false, roles: [], node: true });
  assert.deepEqual(requests.people.suggest("web-99", person("alice")), { reachable: false, roles: [], node: false });
});

test("a node that only wants a second factor is reached already", () => {
  put(ROLES_COLLECTION, "careful", {
    ...roleOf("careful", { nodeLabels: { env: ["production"] }, logins: ["deploy"] }),
    options: { ...OPTIONS, requireSessionMfa: "totp" },
  });
  user("alice", ["dev", "careful"]);
  assert.equal(requests.people.suggest("web-01", person("alice")).reachable, true);
});

test("one person has at most twenty open requests", async () => {
  for (let count = 0; count < 20; count += 1) await ask({ roles: ["production"] });
  await refuses(ask({ roles: ["production"] }), "CONFLICT");
});

// --- internal ---

type Asked = {
  readonly roles?: readonly string[];
  readonly nodes?: readonly string[];
  readonly reason?: string;
  readonly ttlSeconds?: number;
};

async function ask({ roles = [], nodes = [], reason = "", ttlSeconds = 0 }: Asked, name = "alice"): Promise<AccessRequest> {
  return (await requests.create({ roles, nodes, reason, ttlSeconds }, person(name))).request;
}

async function approved(asked: Asked, name = "alice", reviewer = "bob"): Promise<AccessRequest> {
  const request = await review(reviewer, await ask(asked, name), true);
  follow();
  return request;
}

function review(name: string, { id }: AccessRequest, isApproved: boolean): Promise<AccessRequest> {
  return requests.review(id, isApproved, "", person(name));
}

function person(name: string): Person {
  return { name, roles: access.holdings(name).roles, sessionId: "s", clientAddress: "192.0.2.7" };
}

/** Does what the host does after a commit. */
function follow(): void {
  for (const { key } of opened.removes) registry.apply([{ kind: kindId(GRANTS_COLLECTION), key: key ?? "" }]);
  const removed = new Set(opened.removes.map(({ key }) => key));
  for (const { key, value } of opened.puts)
    if (!removed.has(key)) registry.apply([{ kind: kindId(GRANTS_COLLECTION), key: key ?? "", value }]);
}

function roleOf(name: string, allow: Partial<RoleRules>, maxSessionTtlSeconds: number | null = null) {
  return { name, description: "", options: { ...OPTIONS, maxSessionTtlSeconds }, allow: { ...NOTHING, ...allow }, deny: NOTHING };
}

function role(name: string, allow: Partial<RoleRules>, maxSessionTtlSeconds: number | null = null): void {
  put(ROLES_COLLECTION, name, roleOf(name, allow, maxSessionTtlSeconds));
}

function user(name: string, roles: readonly string[]): void {
  put(USERS_COLLECTION, name, { roles, traits: { internal: {}, external: {} } });
}

function put<T>(kind: CollectionKind<T>, key: string, value: T): void {
  registry.apply([{ kind: kindId(kind), key, value }]);
}
