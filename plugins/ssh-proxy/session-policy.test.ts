import assert from "node:assert/strict";
import { test } from "node:test";
import { CollectionRegistry, kindId } from "../../core/events/collections.js";
import type { CollectionKind } from "../../core/plugin/collection.js";
import { systemClock } from "../../core/time/clock.js";
import { FakeGuards } from "../../test/fakes/guards.js";
import { CA_KEYS } from "../ca/api.js";
import { NODES } from "../nodes/api.js";
import {
  DEVICES_COLLECTION,
  type DeviceTrust,
  MACHINE_PREFIX,
  ROLES_COLLECTION,
  type SessionMfa,
  USERS_COLLECTION,
} from "../roles/api.js";
import { LiveAccess } from "../roles/live-access.js";
import { CertificateGate, type CertifiedPerson } from "./certificate-gate.js";
import { SessionPolicy } from "./session-policy.js";

const registry = new CollectionRegistry();
const access = new LiveAccess(registry.of(ROLES_COLLECTION), registry.of(USERS_COLLECTION), {
  machines: { get: () => undefined },
  instances: { get: () => undefined },
  devices: registry.of(DEVICES_COLLECTION),
});
const guards = new FakeGuards();
const policy = new SessionPolicy({
  ...{ access, guards, nodes: registry.of(NODES), clusterName: "test", staleAfterSeconds: 60 },
  collections: { silentSeconds: () => 0 },
  gate: new CertificateGate(registry.of(CA_KEYS), access, systemClock, guards),
  proxyName: () => "proxy",
});

function put<T>(kind: CollectionKind<T>, key: string, value: T | undefined): void {
  registry.apply([{ kind: kindId(kind), key, value }]);
}

function role(
  name: string,
  env: string,
  requireSessionMfa: SessionMfa,
  more: { denies?: string; device?: DeviceTrust } = {},
): void {
  const nothing = { nodeLabels: {}, appLabels: {}, logins: [], requestRoles: [], requestResources: [], reviewRoles: [] };
  const { denies, device: deviceTrustMode = "" } = more;
  put(ROLES_COLLECTION, name, {
    name,
    description: "",
    options: { maxSessionTtlSeconds: null, requireSessionMfa, deviceTrustMode, portForwarding: true, fileCopy: true },
    allow: { ...nothing, nodeLabels: { env: [env] }, logins: ["deploy"] },
    deny: { ...nothing, nodeLabels: denies === undefined ? {} : { env: [denies] } },
  });
}

function person(user: string, roles: readonly string[], device?: string): CertifiedPerson {
  put(USERS_COLLECTION, user, { roles, traits: { internal: {}, external: {} } });
  return { user, roles, ...(device === undefined ? {} : { device }) } as unknown as CertifiedPerson;
}

role("open", "free", "");
role("coded", "prod", "totp");
role("keyed", "vault", "hardware_key");
role("absent", "nowhere", "webauthn");
role("denying", "free", "", { denies: "prod" });
role("at-desk", "desk", "totp", { device: "required" });
for (const [name, env] of [
  ["free-01", "free"],
  ["prod-01", "prod"],
  ["vault-01", "vault"],
  ["desk-01", "desk"],
] as const)
  put(NODES, name, { id: name, name, kind: "agent", hostname: name, labels: { env } });
put(DEVICES_COLLECTION, "laptop", { user: "dora", name: "laptop", isRevoked: false });

for (const [what, subject, demand] of [
  ["nobody whose roles demand none", person("olga", ["open"]), null],
  ["for the factor of a node that is reached", person("carl", ["open", "coded"]), "totp"],
  ["for the strongest of several", person("kate", ["coded", "keyed"]), "hardware_key"],
  ["nobody for nodes that are not there", person("alan", ["open", "absent"]), null],
  ["for no more than the nodes that are there demand", person("anne", ["absent", "coded"]), "totp"],
  ["nobody for nodes that another role denies", person("dean", ["coded", "denying"]), null],
  ["nobody for nodes that want a device first", person("dirk", ["at-desk"]), null],
  ["whoever is at such a device", person("dora", ["at-desk"], "laptop"), "totp"],
  ["no machine", person(`${MACHINE_PREFIX}bot`, ["coded"]), null],
] as const) {
  test(`asks ${what}`, () => assert.equal(policy.factorDemand(subject), demand));
}

for (const [who, host, demands] of [
  [person("carl", ["open", "coded"]), "prod-01", true],
  [person("carl", ["open", "coded"]), "prod-01.test", true],
  [person("carl", ["open", "coded"]), "free-01", false],
  [person("carl", ["open", "coded"]), "vault-01", false],
  [person("carl", ["open", "coded"]), "gone-01", false],
  [person(`${MACHINE_PREFIX}bot`, ["coded"]), "prod-01", false],
] as const)
  test(`${who.user} is ${demands ? "" : "not "}to be asked on the way to ${host}`, () =>
    assert.equal(policy.demandsFactor(who, host), demands));

test("asks as soon as a node is there that demands one", () => {
  const alan = person("alan", ["absent"]);
  assert.equal(policy.factorDemand(alan), null);
  put(NODES, "new-01", { id: "new-01", name: "new-01", kind: "agent", hostname: "new-01", labels: { env: "nowhere" } });
  assert.equal(policy.factorDemand(alan), "webauthn");
  put(NODES, "new-01", undefined);
});
