import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { Secret } from "../../core/plugin/secret.js";
import type { Guard } from "../../core/ports/guard.js";
import { openTestDatabase, type TestDatabase } from "../../test/fixtures/database.js";
import type { JoinToken, Tokens } from "../tokens/api.js";
import type { Instance } from "./agent-identity.js";
import * as repository from "./identity-repository.js";
import { IdentityService } from "./identity-service.js";
import { CreateAgentIdentities } from "./migrations/001-agent-identities.js";

const ADMIN = { name: "root-admin", roles: ["admin"], clientAddress: "192.0.2.7" };
const DAY_MS = 86_400_000;
const clock = { time: Date.parse("2026-01-01T00:00:00Z"), now: () => new Date(clock.time) };
const issued: JoinToken[] = [];
const revoked: string[] = [];
const guard: Guard = {
  refusal: ({ instance }) => (instance === "watched" ? { message: "locked for a test", detail: "" } : null),
  onChange: () => () => {},
};
let opened: TestDatabase;
let identities: IdentityService;

before(async () => {
  opened = await openTestDatabase({
    entities: repository.AGENT_IDENTITY_ENTITIES,
    migrations: [{ name: "001-agent-identities", class: CreateAgentIdentities }],
    clock,
  });
  identities = new IdentityService({
    database: opened.database,
    clock,
    roles: { requireAll: async () => {}, guardDeletion: () => () => {} },
    tokens: fakeTokens(),
    guards: { all: () => [guard] },
    locks: null,
  });
});
after(() => opened.close());

test("makes an identity with its token, tells the live copies, and audits no secret", async () => {
  const { identity, secret } = await identities.create("ci", ["b", "a", "a"], 0, ADMIN);
  assert.deepEqual([identity.roles, identity.openTokens, identity.instances], [["a", "b"], 1, []]);
  const entry = opened.puts.find(({ key }) => key === "identity/ci");
  assert.deepEqual([entry?.name, entry?.value], ["machines", { roles: ["a", "b"], traits: { internal: {}, external: {} } }]);
  assert.deepEqual(
    opened.audits.map(({ type }) => type),
    ["agent_identity.created"],
  );
  assert.ok(!JSON.stringify(opened.audits).includes(secret.expose()));
});

for (const [name, code] of [
  ["ci", "ALREADY_EXISTS"],
  ["", "INVALID_ARGUMENT"],
  ["Upper", "INVALID_ARGUMENT"],
  ["with/slash", "INVALID_ARGUMENT"],
  ["x".repeat(55), "INVALID_ARGUMENT"],
] as const) {
  test(`refuses ${JSON.stringify(name)} as the name of a new one`, async () => {
    await assert.rejects(identities.create(name, [], 0, ADMIN), (error) => isMezError(error, code));
  });
}

test("says of each instance whether it is active, expired or locked", async () => {
  await put({ id: "fresh" }, { id: "old", certificateExpiresAt: new Date(clock.time - 1) });
  await put({ id: "copied", lockReason: "copied" }, { id: "watched" });
  const { instances } = await identities.get("ci");
  assert.deepEqual(Object.fromEntries(instances.map(({ id, state }) => [id, state])), {
    fresh: "active",
    old: "expired",
    copied: "locked",
    watched: "locked",
  });
});

test("removes an instance a week after its certificates expired, and not before", async () => {
  assert.equal(await identities.sweep(), 0);
  clock.time += 7 * DAY_MS;
  assert.equal(await identities.sweep(), 1);
  assert.deepEqual(
    opened.removes.map(({ name, key }) => [name, key]),
    [["machine-instances", "old"]],
  );
  clock.time -= 7 * DAY_MS;
});

test("removing an identity takes its tokens, instances and entries along", async () => {
  await identities.createToken("ci", 600, ADMIN);
  await identities.delete("ci", ADMIN);
  assert.deepEqual(revoked, ["1", "2"]);
  assert.ok(opened.removes.some(({ key }) => key === "identity/ci"));
  for (const id of ["fresh", "copied", "watched"]) assert.ok(opened.removes.some(({ key }) => key === id));
  await assert.rejects(identities.get("ci"), (error) => isMezError(error, "NOT_FOUND"));
  await assert.rejects(identities.delete("ci", ADMIN), (error) => isMezError(error, "NOT_FOUND"));
});

// --- internal ---

async function put(...instances: readonly (Partial<Instance> & { readonly id: string })[]): Promise<void> {
  const common = { identity: "ci", generation: 1, seenGeneration: 0, keysHash: "", answer: "", certificateSerial: "1" };
  const dates = { certificateExpiresAt: new Date(clock.time + DAY_MS), createdAt: clock.now(), lastSeen: clock.now() };
  await opened.database.transaction(async (tx) => {
    for (const each of instances)
      await repository.insertInstance(tx.em, { ...common, ...dates, address: "", lockReason: "", ...each });
  });
}

function fakeTokens(): Tokens {
  const refuse = async (): Promise<never> => {
    throw new Error("not asked here");
  };
  return {
    create: refuse,
    serverKeys: refuse,
    redeem: refuse,
    async issue(_tx, { ttlSeconds = 3_600 }, author) {
      const token: JoinToken = {
        ...{ id: String(issued.length + 1), name: null, roles: ["identity"], createdBy: author.name, usedAt: null },
        ...{ createdAt: clock.now(), expiresAt: new Date(clock.time + ttlSeconds * 1000) },
      };
      issued.push(token);
      return { token, secret: new Secret("ab".repeat(32)) };
    },
    async revoke(_tx, ids) {
      revoked.push(...ids);
    },
    active: async (_em, ids) => issued.filter(({ id }) => ids.includes(id)),
  };
}
