import assert from "node:assert/strict";
import { test } from "node:test";
import { CollectionRegistry, kindId } from "../../core/events/collections.js";
import type { CollectionKind } from "../../core/plugin/collection.js";
import {
  DEVICES_COLLECTION,
  type DeviceTrust,
  guardSubjectOf,
  MACHINE_INSTANCES_COLLECTION,
  MACHINES_COLLECTION,
  ROLES_COLLECTION,
  type RoleRules,
  USERS_COLLECTION,
} from "./api.js";
import { LiveAccess } from "./live-access.js";

const NOTHING: RoleRules = { nodeLabels: {}, appLabels: {}, logins: [], requestRoles: [], requestResources: [], reviewRoles: [] };
const NODE = { name: "web-01", labels: { env: "test" } };

for (const [what, roles, device, allowed] of [
  ["at no device", ["required"], undefined, false],
  ["at a device of their own", ["required"], "good", true],
  ["at a revoked one", ["required"], "revoked", false],
  ["at somebody else's", ["required"], "bobs", false],
  ["at one that nobody knows", ["required"], "unknown", false],
  ["at none, where one is optional", ["optional"], undefined, true],
  ["at none, with a role that demands it and one that does not", ["required", "optional"], undefined, false],
] as const)
  test(`somebody ${what} is ${allowed ? "let in" : "refused"}`, () => {
    const { access } = world();
    const subject = { user: "alice", roles, device };
    for (const decision of [
      access.decide({ ...subject, node: NODE, login: "deploy" }),
      access.decideReach({ ...subject, node: NODE }),
    ]) {
      assert.equal(decision.allowed, allowed);
      if (decision.allowed) continue;
      assert.equal(decision.missing, "device");
      assert.match(decision.reason, /^web-01 asks for an enrolled device: run "msh device enroll" at yours, then log in again$/);
    }
  });

test("a device that is revoked or removed stops to count at once", () => {
  const { access, put } = world();
  const decide = () => access.decide({ user: "alice", roles: ["required"], device: "good", node: NODE, login: "deploy" }).allowed;
  assert.equal(decide(), true);
  put(DEVICES_COLLECTION, "good", { user: "alice", name: "laptop", isRevoked: true });
  assert.equal(decide(), false);
  put(DEVICES_COLLECTION, "good", { user: "alice", name: "laptop", isRevoked: false });
  assert.equal(decide(), true);
  put(DEVICES_COLLECTION, "good", undefined);
  assert.equal(decide(), false);
});

test("guards see the device of a person", () => {
  assert.deepEqual(guardSubjectOf({ user: "alice", roles: [], device: "good" }), { user: "alice", roles: [], device: "good" });
});

// --- internal ---

function world() {
  const registry = new CollectionRegistry();
  const put = <T>(kind: CollectionKind<T>, key: string, value: T | undefined): void =>
    registry.apply([{ kind: kindId(kind), key, value }]);
  for (const deviceTrustMode of ["required", "optional"] as const satisfies readonly DeviceTrust[])
    put(ROLES_COLLECTION, deviceTrustMode, {
      name: deviceTrustMode,
      description: "",
      options: { maxSessionTtlSeconds: null, requireSessionMfa: "", deviceTrustMode, portForwarding: true, fileCopy: true },
      allow: { ...NOTHING, nodeLabels: { env: ["test"] }, logins: ["deploy"] },
      deny: NOTHING,
    });
  put(USERS_COLLECTION, "alice", { roles: ["required", "optional"], traits: { internal: {}, external: {} } });
  put(DEVICES_COLLECTION, "good", { user: "alice", name: "laptop", isRevoked: false });
  put(DEVICES_COLLECTION, "revoked", { user: "alice", name: "old laptop", isRevoked: true });
  put(DEVICES_COLLECTION, "bobs", { user: "bob", name: "desk", isRevoked: false });
  const access = new LiveAccess(registry.of(ROLES_COLLECTION), registry.of(USERS_COLLECTION), {
    machines: registry.of(MACHINES_COLLECTION),
    instances: registry.of(MACHINE_INSTANCES_COLLECTION),
    devices: registry.of(DEVICES_COLLECTION),
  });
  return { access, put };
}
