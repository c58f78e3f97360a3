import assert from "node:assert/strict";
import test from "node:test";
import { CollectionRegistry, kindId } from "../../core/events/collections.js";
import {
  type ProvenSessionMfa,
  ROLES_COLLECTION,
  type Role,
  type RoleRules,
  type SessionMfa,
  type SessionOptions,
  USERS_COLLECTION,
  type UserEntry,
} from "./api.js";
import { LiveAccess } from "./live-access.js";

const NOTHING: RoleRules = { nodeLabels: {}, appLabels: {}, logins: [], requestRoles: [], requestResources: [], reviewRoles: [] };
const OPTIONS: SessionOptions = {
  maxSessionTtlSeconds: null,
  requireSessionMfa: "",
  deviceTrustMode: "",
  portForwarding: true,
  fileCopy: true,
};

function role(
  name: string,
  allow: Partial<RoleRules>,
  deny: Partial<RoleRules> = {},
  options: Partial<SessionOptions> = {},
): Role {
  return {
    name,
    description: "",
    options: { ...OPTIONS, ...options },
    allow: { ...NOTHING, ...allow },
    deny: { ...NOTHING, ...deny },
  };
}

const EVERY_NODE = { "*": ["*"] };
const ROLES: readonly Role[] = [
  role("everywhere", { nodeLabels: EVERY_NODE, logins: ["{{internal.logins}}"] }, {}, { maxSessionTtlSeconds: 28_800 }),
  role(
    "prod",
    { nodeLabels: { env: ["prod"] }, logins: ["deploy", "root"] },
    {},
    { portForwarding: false, maxSessionTtlSeconds: 3600 },
  ),
  role("no-root", {}, { logins: ["root"] }),
  role("no-restricted", {}, { nodeLabels: { sensitivity: ["restricted"] } }),
  role("no-login", {}, { logins: ["*"] }),
  role("mfa", { nodeLabels: { env: ["vault"] }, logins: ["deploy"] }, {}, { requireSessionMfa: "totp" }),
  role("trusted", { nodeLabels: { env: ["desk"] }, logins: ["deploy"] }, {}, { deviceTrustMode: "required" }),
  role(
    "relaxed",
    { nodeLabels: { env: ["lab"] }, logins: ["deploy"] },
    {},
    { requireSessionMfa: "off", deviceTrustMode: "optional" },
  ),
  role("labels-only", { nodeLabels: EVERY_NODE }),
];

function worldOf(users: Readonly<Record<string, UserEntry>>): {
  access: LiveAccess;
  set: (kind: typeof ROLES_COLLECTION | typeof USERS_COLLECTION, key: string, value: unknown) => void;
} {
  const registry = new CollectionRegistry();
  const set = (kind: typeof ROLES_COLLECTION | typeof USERS_COLLECTION, key: string, value: unknown): void =>
    registry.apply([{ kind: kindId(kind as never), key, value }]);
  for (const each of ROLES) set(ROLES_COLLECTION, each.name, each);
  for (const [name, entry] of Object.entries(users)) set(USERS_COLLECTION, name, entry);
  return { access: new LiveAccess(registry.of(ROLES_COLLECTION), registry.of(USERS_COLLECTION)), set };
}

const user = (roles: readonly string[], logins: readonly string[] = ["alice"]): UserEntry => ({
  roles,
  traits: { internal: { logins }, external: {} },
});
const node = (labels: Readonly<Record<string, string>>): { name: string; labels: Readonly<Record<string, string>> } => ({
  name: "web-01",
  labels,
});

const DECISIONS: readonly (readonly [
  what: string,
  roles: readonly string[],
  labels: Readonly<Record<string, string>>,
  login: string,
  allowed: boolean,
])[] = [
  ["a login of the trait, everywhere", ["everywhere"], {}, "alice", true],
  ["another login", ["everywhere"], {}, "bob", false],
  ["a login of one role on a node of the other", ["everywhere", "prod"], { env: "dev" }, "deploy", false],
  ["a fixed login on its node", ["prod"], { env: "prod" }, "deploy", true],
  ["a node that no role allows", ["prod"], { env: "dev" }, "deploy", false],
  ["deny of a login by another role", ["prod", "no-root"], { env: "prod" }, "root", false],
  ["deny of one login leaves the others", ["prod", "no-root"], { env: "prod" }, "deploy", true],
  ["deny of a node by another role", ["everywhere", "no-restricted"], { sensitivity: "restricted" }, "alice", false],
  ["deny of a node leaves the others", ["everywhere", "no-restricted"], { sensitivity: "public" }, "alice", true],
  ["deny of every login", ["everywhere", "no-login"], {}, "alice", false],
  ["a second factor that was not proven", ["mfa"], { env: "vault" }, "deploy", false],
  ["a trusted device that nothing can check", ["trusted"], { env: "desk" }, "deploy", false],
  ["off and optional demand nothing", ["relaxed"], { env: "lab" }, "deploy", true],
  ["a role that does not exist", ["ghost"], {}, "alice", false],
  ["no roles", [], {}, "alice", false],
  ["labels without logins", ["labels-only"], {}, "alice", false],
];

for (const [what, roles, labels, login, allowed] of DECISIONS) {
  test(`${what}: ${allowed ? "allowed" : "refused"}`, () => {
    const { access } = worldOf({ alice: user(roles) });
    const decision = access.decide({ user: "alice", roles, node: node(labels), login });
    assert.equal(decision.allowed, allowed, JSON.stringify(decision));
    if (!decision.allowed) assert.ok(!decision.reason.includes("\n") && decision.detail !== "");
  });
}

test("a refused login is told which logins would do", () => {
  const { access } = worldOf({ alice: user(["prod"]) });
  const decision = access.decide({ user: "alice", roles: ["prod"], node: node({ env: "prod" }), login: "postgres\u001b[2J" });
  assert.deepEqual(decision, {
    allowed: false,
    reason: "alice may not log in to web-01 as postgres?[2J (allowed: deploy, root)",
    detail: "no role that allows node web-01 allows login postgres?[2J",
  });
});

test("a deleted user is refused at once, whatever the certificate says", () => {
  const { access, set } = worldOf({ alice: user(["everywhere"]) });
  const subject = { user: "alice", roles: ["everywhere"] };
  assert.equal(access.decideReach({ ...subject, node: node({}) }).allowed, true);
  set(USERS_COLLECTION, "alice", undefined);
  assert.equal(access.decide({ ...subject, node: node({}), login: "alice" }).allowed, false);
  assert.equal(access.decideReach({ ...subject, node: node({}) }).allowed, false);
  assert.deepEqual(access.visibleNodes(subject, [node({})]), []);
  assert.deepEqual(access.logins(subject), []);
  assert.equal(access.sessionOptions(subject).portForwarding, false);
});

test("a certificate of a former user of the name opens nothing that the next one has", () => {
  const { access, set } = worldOf({ alice: { ...user(["everywhere"]), since: "2026-01-01T00:00:00.000Z" } });
  const subject = { user: "alice", roles: ["everywhere"], since: "2026-01-01T00:00:00.000Z" };
  assert.equal(access.decideReach({ ...subject, node: node({}) }).allowed, true);
  assert.equal(access.standing(subject), null);
  set(USERS_COLLECTION, "alice", { ...user(["everywhere"]), since: "2026-01-02T00:00:00.000Z" });
  assert.equal(access.standing(subject), "the certificate is of a former user alice; log in again");
  assert.equal(access.decide({ ...subject, node: node({}), login: "alice" }).allowed, false);
  assert.equal(access.decideReach({ ...subject, node: node({}) }).allowed, false);
  assert.deepEqual(access.visibleNodes(subject, [node({})]), []);
  // Of an earlier release, which did not say.
  assert.equal(access.decideReach({ ...subject, since: undefined, node: node({}) }).allowed, true);
});

test("a role that the user has lost no longer counts, and one gained after the certificate does not yet", () => {
  const { access, set } = worldOf({ alice: user(["everywhere", "prod"]) });
  const subject = { user: "alice", roles: ["everywhere"] };
  assert.equal(access.decide({ ...subject, node: node({ env: "prod" }), login: "deploy" }).allowed, false);
  set(USERS_COLLECTION, "alice", user(["prod"]));
  assert.equal(access.decide({ ...subject, node: node({}), login: "alice" }).allowed, false);
});

test("denials and TTL caps hold also when the certificate leaves their role out", () => {
  const { access } = worldOf({ alice: user(["prod", "no-root"]) });
  assert.equal(access.decide({ user: "alice", roles: ["prod"], node: node({ env: "prod" }), login: "root" }).allowed, false);
  assert.equal(access.sessionOptions({ user: "alice", roles: ["no-root"] }).maxSessionTtlSeconds, 3600);
});

test("a changed role takes effect on the next decision", () => {
  const { access, set } = worldOf({ alice: user(["prod"]) });
  const request = { user: "alice", roles: ["prod"], node: node({ env: "prod" }), login: "deploy" };
  assert.equal(access.decide(request).allowed, true);
  set(ROLES_COLLECTION, "prod", role("prod", { nodeLabels: { env: ["prod"] }, logins: ["other"] }));
  assert.equal(access.decide(request).allowed, false);
  set(ROLES_COLLECTION, "prod", undefined);
  assert.equal(access.decideReach(request).allowed, false);
});

test("of the roles that grant a session the strictest option holds; roles for other nodes do not count", () => {
  const { access } = worldOf({ alice: user(["everywhere", "prod"], ["deploy"]) });
  const subject = { user: "alice", roles: ["everywhere", "prod"], login: "deploy" };
  const onProd = access.decide({ ...subject, node: node({ env: "prod" }) });
  const onDev = access.decide({ ...subject, node: node({ env: "dev" }) });
  assert.ok(onProd.allowed && onDev.allowed);
  assert.deepEqual(
    [onProd.options.portForwarding, onProd.options.maxSessionTtlSeconds, onProd.roles],
    [false, 3600, ["everywhere", "prod"]],
  );
  assert.deepEqual([onDev.options.portForwarding, onDev.options.maxSessionTtlSeconds, onDev.roles], [true, 3600, ["everywhere"]]);
  assert.equal(access.sessionOptions(subject).portForwarding, true);
});

test("deny wins over allow for every combination of roles", () => {
  const random = seeded(7);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
  const names = ["a", "b", "c"];
  for (let round = 0; round < 400; round++) {
    const roles = Array.from({ length: 1 + Math.floor(random() * 5) }, (_, index) => {
      const rules = (): Partial<RoleRules> => ({
        nodeLabels: random() < 0.5 ? {} : { [pick(names)]: [pick(["1", "2", "*"])] },
        logins: random() < 0.5 ? [] : [pick(["deploy", "root", "{{internal.logins}}"])],
      });
      return role(`r${index}`, rules(), rules());
    });
    const held = roles.map(({ name }) => name);
    const { access, set } = worldOf({ alice: user(held, ["alice"]) });
    for (const each of roles) set(ROLES_COLLECTION, each.name, each);
    const labels = Object.fromEntries(names.filter(() => random() < 0.7).map((name) => [name, pick(["1", "2"])]));
    const login = pick(["deploy", "root", "alice"]);
    const subject = { user: "alice", roles: held };
    const matches = ([name, values]: readonly [string, readonly string[]]): boolean =>
      labels[name] !== undefined && (values.includes("*") || values.includes(labels[name]));
    const expand = (logins: readonly string[]): readonly string[] =>
      logins.map((each) => (each.startsWith("{{") ? "alice" : each));
    const denied = roles.some(
      ({ deny }) =>
        expand(deny.logins).includes(login) ||
        (Object.keys(deny.nodeLabels).length > 0 && Object.entries(deny.nodeLabels).every(matches)),
    );
    const granted = roles.some(
      ({ allow }) =>
        expand(allow.logins).includes(login) &&
        Object.keys(allow.nodeLabels).length > 0 &&
        Object.entries(allow.nodeLabels).every(matches),
    );
    const decision = access.decide({ ...subject, node: node(labels), login });
    assert.equal(decision.allowed, granted && !denied, JSON.stringify({ roles, labels, login }));
    if (decision.allowed) {
      assert.ok(access.logins(subject).includes(login));
      assert.equal(access.visibleNodes(subject, [node(labels)]).length, 1);
    }
  }
});

function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

const MFA_CASES: readonly (readonly [demanded: SessionMfa, proven: ProvenSessionMfa | undefined, allowed: boolean])[] = [
  ["", undefined, true],
  ["off", undefined, true],
  ["totp", undefined, false],
  ["totp", "totp", true],
  ["totp", "webauthn", true],
  ["totp", "hardware_key", true],
  ["webauthn", "totp", false],
  ["webauthn", "webauthn", true],
  ["webauthn", "hardware_key", true],
  ["hardware_key", undefined, false],
  ["hardware_key", "webauthn", false],
  ["hardware_key", "hardware_key", true],
];

for (const [demanded, proven, allowed] of MFA_CASES) {
  test(`a role that demands "${demanded}" ${allowed ? "takes" : "refuses"} a session with ${proven ?? "no factor"}`, () => {
    const { access, set } = worldOf({ alice: user(["each"]) });
    const each = role("each", { nodeLabels: { "*": ["*"] }, logins: ["deploy"] }, {}, { requireSessionMfa: demanded });
    set(ROLES_COLLECTION, "each", each);
    const request = { user: "alice", roles: ["each"], node: node({}), proofs: { mfa: proven } };
    for (const decision of [access.decide({ ...request, login: "deploy" }), access.decideReach(request)]) {
      assert.equal(decision.allowed, allowed);
      if (!decision.allowed) assert.deepEqual([decision.missing, /second factor/.test(decision.reason)], ["mfa", true]);
    }
  });
}

test("a proxy lets pass who needs a factor for another login only; the node tells the logins apart", () => {
  const { access, set } = worldOf({ alice: user(["plain", "strict"]) });
  set(ROLES_COLLECTION, "plain", role("plain", { nodeLabels: { "*": ["*"] }, logins: ["deploy"] }, {}, {}));
  set(
    ROLES_COLLECTION,
    "strict",
    role("strict", { nodeLabels: { "*": ["*"] }, logins: ["root"] }, {}, { requireSessionMfa: "totp" }),
  );
  const request = { user: "alice", roles: ["plain", "strict"], node: node({}) };
  const reach = access.decideReach(request);
  assert.ok(reach.allowed && reach.options.requireSessionMfa === "totp");
  assert.equal(access.decide({ ...request, login: "deploy" }).allowed, true);
  assert.equal(access.decide({ ...request, login: "root" }).allowed, false);
  assert.equal(access.decide({ ...request, login: "root", proofs: { mfa: "totp" } }).allowed, true);
});
