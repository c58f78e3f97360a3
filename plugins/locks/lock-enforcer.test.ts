import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { CollectionRegistry, kindId } from "../../core/events/collections.js";
import { SettingsView } from "../../core/host/settings-view.js";
import { CLUSTER_SETTINGS_COLLECTION, type SettingValue } from "../../core/plugin/cluster-settings.js";
import type { LiveSession } from "../../core/plugin/live-sessions.js";
import { ProcessLiveSessions } from "../../core/sessions/live-sessions.js";
import { testGuard } from "../../test/contracts/guard.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { USERS_COLLECTION } from "../roles/api.js";
import { LOCKS_COLLECTION, type LockEntry } from "./api.js";
import { parseLockTarget } from "./lock.js";
import { LockBook } from "./lock-book.js";
import { LockEnforcer } from "./lock-enforcer.js";
import { LockGuard } from "./lock-guard.js";

class World {
  now = new Date("2026-03-01T12:00:00Z");
  silence = 0;
  readonly registry = new CollectionRegistry();
  readonly live = new ProcessLiveSessions();
  readonly ends: string[] = [];
  readonly guard: LockGuard;
  readonly enforcer: LockEnforcer;

  constructor(t: TestContext, mode: SettingValue = "strict") {
    const book = new LockBook(this.registry.of(LOCKS_COLLECTION), { now: () => this.now });
    const collections = { of: this.registry.of.bind(this.registry), silentSeconds: () => this.silence };
    const settings = new SettingsView(this.registry);
    this.guard = new LockGuard({ book, collections, settings, staleAfterSeconds: 30 });
    this.set(mode);
    this.enforcer = new LockEnforcer(this.guard, this.live, silentLogger);
    t.after(() => this.enforcer.dispose());
    t.after(() => book.dispose());
  }

  /** As `mezctl config set lock_mode` does. */
  set(mode: SettingValue): void {
    this.registry.apply([{ kind: kindId(CLUSTER_SETTINGS_COLLECTION), key: "lock_mode", value: mode }]);
  }

  lock(id: string, type: string, name: string, more: Partial<LockEntry> = {}): void {
    const value: LockEntry = { target: parseLockTarget(type, name), message: "", expiresAt: null, ...more };
    this.registry.apply([{ kind: kindId(LOCKS_COLLECTION), key: id, value }]);
  }

  lift(id: string): void {
    this.registry.apply([{ kind: kindId(LOCKS_COLLECTION), key: id }]);
  }

  user(name: string, roles: readonly string[]): void {
    const value = { roles, traits: { internal: {}, external: {} } };
    this.registry.apply([{ kind: kindId(USERS_COLLECTION), key: name, value }]);
  }

  begin(user: string, roles: readonly string[], node: string, instance?: string): () => void {
    const end = (reason: string): void => void this.ends.push(`${user}@${node} ${reason}`);
    return this.live.add({ id: user, user, roles, node, instance, end } as LiveSession);
  }
}

testGuard("locks", async () => {
  const stops: (() => void)[] = [];
  const world = new World({ after: (stop: () => void) => void stops.push(stop) } as unknown as TestContext);
  return {
    guard: world.guard,
    subject: { user: "alice" },
    refuse: async () => world.lock("1", "user", "alice"),
    close: async () => stops.forEach((stop) => void stop()),
  };
});

for (const [type, name] of [
  ["user", "alice"],
  ["role", "dev"],
  ["agent", "web-01"],
] as const) {
  test(`a lock on ${type} ${name} ends what it names with its message, and nothing else`, async (t) => {
    const world = new World(t);
    await world.enforcer.start();
    world.begin("alice", ["dev"], "web-01");
    world.begin("bob", ["ops"], "web-02");
    world.lock("1", type, name, { message: "Security review" });
    assert.deepEqual(world.ends, [`alice@web-01 session ended: ${type} ${name} is locked: Security review`]);
  });
}

for (const [type, name, ended] of [
  ["agent_identity", "ci-bot", ["one", "two"]],
  ["agent_identity_instance", "two", ["two"]],
  ["role", "deploy", ["one", "two"]],
  ["user", "identity/ci-bot", []],
] as const) {
  test(`a lock on ${type} ${name} ends ${ended.length} of the sessions of two instances of one identity`, async (t) => {
    const world = new World(t);
    await world.enforcer.start();
    world.begin("identity/ci-bot", ["deploy"], "one", "one");
    world.begin("identity/ci-bot", ["deploy"], "two", "two");
    world.begin("ci-bot", [], "three");
    world.lock("1", type, name);
    assert.deepEqual(
      world.ends.map((end) => end.split(/[@ ]/)[1]),
      ended,
    );
  });
}

test("ends a session that began before the lock arrived, and one that registers after", async (t) => {
  const world = new World(t);
  world.begin("alice", [], "web-01");
  world.lock("1", "user", "alice");
  await world.enforcer.start();
  world.begin("alice", [], "web-02");
  assert.deepEqual(
    world.ends.map((end) => end.slice(0, 12)),
    ["alice@web-01", "alice@web-02"],
  );
});

test("a user who is given a locked role is locked from then on; one who only lost it stays so with the old certificate", async (t) => {
  const world = new World(t);
  world.user("alice", []);
  world.lock("1", "role", "frozen");
  await world.enforcer.start();
  world.begin("alice", [], "web-01");
  assert.deepEqual(world.ends, []);
  world.user("alice", ["frozen"]);
  assert.equal(world.ends.length, 1);
  world.user("bob", []);
  assert.match(world.guard.refusal({ user: "bob", roles: ["frozen"] })?.message ?? "", /^role frozen is locked/);
});

test("a lock holds until it expires or is lifted; of two, until the last", (t) => {
  const world = new World(t);
  world.lock("1", "user", "alice", { expiresAt: "2026-03-01T12:01:00Z" });
  world.lock("2", "user", "alice", { expiresAt: "2026-03-01T12:05:00Z" });
  assert.equal(world.guard.refusal({ user: "alice" })?.detail, "lock 1");
  world.now = new Date("2026-03-01T12:01:00Z");
  assert.equal(world.guard.refusal({ user: "alice" })?.detail, "lock 2");
  world.lift("2");
  assert.equal(world.guard.refusal({ user: "alice" }), null);
});

test("the lock's id is in the detail only", (t) => {
  const world = new World(t);
  world.lock("7f3a", "device", "laptop");
  const refusal = world.guard.refusal({ user: "alice", device: "laptop" });
  assert.deepEqual(refusal, { message: "device laptop is locked by an administrator", detail: "lock 7f3a" });
});

for (const [mode, silence, isRefused] of [
  ["strict", 30, false],
  ["strict", 31, true],
  ["strict", Number.POSITIVE_INFINITY, true],
  ["best_effort", 3600, false],
] as const) {
  test(`${mode}, silent for ${silence} s: ${isRefused ? "nobody begins" : "people begin"} a session; live ones go on`, async (t) => {
    const world = new World(t, mode);
    await world.enforcer.start();
    world.begin("alice", [], "web-01");
    world.silence = silence;
    assert.equal(world.guard.refusal({ user: "bob", roles: [] }) !== null, isRefused);
    assert.equal(world.guard.refusal({ agent: "web-01" }), null, "agents find their way back");
    world.lock("1", "user", "carol");
    assert.deepEqual(world.ends, []);
  });
}

test("the setting lock_mode bites at once", (t) => {
  const world = new World(t);
  world.silence = 31;
  assert.notEqual(world.guard.refusal({ user: "bob" }), null);
  world.set("best_effort");
  assert.equal(world.guard.refusal({ user: "bob" }), null);
});

test("ends nothing after it was disposed", async (t) => {
  const world = new World(t);
  await world.enforcer.start();
  await world.enforcer.dispose();
  world.begin("alice", [], "web-01");
  world.lock("1", "user", "alice");
  assert.deepEqual(world.ends, []);
});
