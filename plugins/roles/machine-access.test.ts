import assert from "node:assert/strict";
import test from "node:test";
import { CollectionRegistry, kindId } from "../../core/events/collections.js";
import type { CollectionKind } from "../../core/plugin/collection.js";
import {
  guardSubjectOf,
  MACHINE_INSTANCES_COLLECTION,
  MACHINES_COLLECTION,
  ROLES_COLLECTION,
  type RoleRules,
  USERS_COLLECTION,
} from "./api.js";
import { LiveAccess } from "./live-access.js";

const NOTHING: RoleRules = { nodeLabels: {}, appLabels: {}, logins: [], requestRoles: [], requestResources: [], reviewRoles: [] };
const MACHINE = "identity/ci";
const NODE = { name: "web-01", labels: { env: "test" } };
const SUBJECT = { user: MACHINE, roles: ["deployer"], instance: "one" };

test("a machine gets what its roles allow, for as long as it and its instance are there", () => {
  const { access, put } = world();
  assert.equal(access.decide({ ...SUBJECT, node: NODE, login: "deploy" }).allowed, true);
  assert.equal(access.decide({ ...SUBJECT, node: NODE, login: "root" }).allowed, false);
  assert.deepEqual(access.logins({ user: MACHINE, roles: ["deployer"] }), ["deploy"]);
  put(MACHINE_INSTANCES_COLLECTION, "one", undefined);
  assert.equal(access.standing(SUBJECT), "this instance of identity/ci was deleted from this cluster");
  put(MACHINES_COLLECTION, MACHINE, undefined);
  assert.equal(access.standing(SUBJECT), "identity/ci was deleted from this cluster");
  assert.equal(access.decideReach({ ...SUBJECT, node: NODE }).allowed, false);
});

for (const [what, subject] of [
  ["without an instance", { user: MACHINE, roles: ["deployer"] }],
  ["with an instance of another machine", { ...SUBJECT, instance: "other" }],
  ["with an instance that nobody made", { ...SUBJECT, instance: "none" }],
  ["with a person's name", { user: "ci", roles: ["deployer"], instance: "one" }],
] as const) {
  test(`refuses a machine ${what}`, () => {
    const { access } = world();
    assert.notEqual(access.standing(subject), null);
    assert.equal(access.decide({ ...subject, node: NODE, login: "deploy" }).allowed, false);
    assert.deepEqual(access.visibleNodes(subject, [NODE]), []);
  });
}

test("a locked instance reaches nothing, another of the same machine does", () => {
  const { access, put } = world();
  put(MACHINE_INSTANCES_COLLECTION, "two", { machine: MACHINE, generation: 1, lockReason: "" });
  put(MACHINE_INSTANCES_COLLECTION, "one", { machine: MACHINE, generation: 1, lockReason: "copied" });
  assert.equal(access.standing(SUBJECT), "this instance of identity/ci is locked: copied");
  assert.equal(access.decideReach({ ...SUBJECT, node: NODE }).allowed, false);
  assert.equal(access.decideReach({ ...SUBJECT, instance: "two", node: NODE }).allowed, true);
});

test("tells certificates before the one in use from that one and those after", () => {
  const { access } = world();
  assert.deepEqual(
    [2, 3, 4].map((generation) => access.isSuperseded("one", generation)),
    [true, false, false],
  );
});

test("guards see machines as agent identities, not as users", () => {
  assert.deepEqual(guardSubjectOf(SUBJECT), { agentIdentity: "ci", instance: "one", roles: ["deployer"] });
  assert.deepEqual(guardSubjectOf({ user: "alice", roles: [] }), { user: "alice", roles: [] });
});

// --- internal ---

function world() {
  const registry = new CollectionRegistry();
  const put = <T>(kind: CollectionKind<T>, key: string, value: T | undefined): void =>
    registry.apply([{ kind: kindId(kind), key, value }]);
  put(ROLES_COLLECTION, "deployer", {
    name: "deployer",
    description: "",
    options: { maxSessionTtlSeconds: null, requireSessionMfa: "", deviceTrustMode: "", portForwarding: true, fileCopy: true },
    allow: { ...NOTHING, nodeLabels: { env: ["test"] }, logins: ["deploy"] },
    deny: NOTHING,
  });
  put(MACHINES_COLLECTION, MACHINE, { roles: ["deployer"], traits: { internal: {}, external: {} } });
  put(MACHINE_INSTANCES_COLLECTION, "one", { machine: MACHINE, generation: 3, lockReason: "" });
  put(MACHINE_INSTANCES_COLLECTION, "other", { machine: "identity/other", generation: 1, lockReason: "" });
  const access = new LiveAccess(registry.of(ROLES_COLLECTION), registry.of(USERS_COLLECTION), {
    machines: registry.of(MACHINES_COLLECTION),
    instances: registry.of(MACHINE_INSTANCES_COLLECTION),
  });
  return { access, put };
}
