import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Collection, isMezError } from "mezite/plugin";
import { FakeClock, startTestCluster, type TestCluster, testGuard } from "mezite/testing";
import type { FreezeEntry } from "./freeze.js";
import { FreezeGuard } from "./freeze-guard.js";
import { FREEZE_RPC } from "./freeze-rpc.js";

describe("freezes", () => {
  let cluster: TestCluster;
  before(async () => {
    const plugins = { freezes: { config: { longest: "8h" } } };
    cluster = await startTestCluster({ plugins: [join(__dirname, "..")], config: { plugins } });
  });
  after(() => cluster.stop());

  const list = async () => {
    const { stdout } = await cluster.mezctl(["freezes", "ls", "--format=json"]);
    return JSON.parse(stdout) as { id: string; node: string; created_by: string }[];
  };

  test("are made, listed, audited and lifted", async () => {
    const made = await cluster.mezctl(["freezes", "create", "web-01", "--ttl=2h", "--reason=Release 4"]);
    assert.equal(made.code, 0, made.stderr);
    const [freeze] = await list();
    assert.deepEqual([freeze?.node, freeze?.created_by], ["web-01", "admin"]);
    assert.equal((await cluster.mezctl(["freezes", "lift", freeze?.id ?? ""])).code, 0);
    assert.deepEqual(await list(), []);
    const types = cluster.audits.map(({ type }) => type).filter((type) => type.startsWith("freeze."));
    assert.deepEqual(types, ["freeze.created", "freeze.lifted"]);
  });

  test("end by themselves", async () => {
    await cluster.mezctl(["freezes", "create", "web-02", "--ttl=1h"]);
    cluster.clock.advance(3601);
    assert.deepEqual(await list(), []);
  });

  for (const [why, args] of [
    ["no name of a machine", ["web 01", "--ttl=1h"]],
    ["too long", ["web-01", "--ttl=9h"]],
    ["without an end", ["web-01"]],
  ] as const) {
    test(`are refused when they are ${why}`, async () => {
      assert.equal((await cluster.mezctl(["freezes", "create", ...args])).code, 2);
    });
  }

  test("are made by administrators alone, and seen by everybody", async () => {
    const alice = cluster.rpc(FREEZE_RPC.definition, { user: "alice" });
    await assert.rejects(alice.liftFreeze({ id: "x" }), (error) => isMezError(error, "ACCESS_DENIED"));
    await alice.listFreezes({});
  });
});

/** A live copy in memory. */
class Copy implements Collection<FreezeEntry> {
  readonly #values = new Map<string, FreezeEntry>();
  readonly #listeners = new Set<(key: string, value: FreezeEntry | undefined) => void>();

  put(key: string, value: FreezeEntry): void {
    this.#values.set(key, value);
    for (const listener of this.#listeners) listener(key, value);
  }

  get = (key: string) => this.#values.get(key);
  entries = () => this.#values.entries();
  values = () => this.#values.values();

  get size(): number {
    return this.#values.size;
  }

  onChange(listener: (key: string, value: FreezeEntry | undefined) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}

testGuard("freezes", async () => {
  const copy = new Copy();
  const clock = new FakeClock();
  const expiresAt = new Date(clock.now().getTime() + 60_000).toISOString();
  return {
    guard: new FreezeGuard(copy, clock),
    subject: { user: "alice", agent: "web-01" },
    refuse: async () => copy.put("1", { node: "web-01", reason: "Release", expiresAt }),
    close: async () => {},
  };
});

test("a frozen machine stays connected: only people are refused", () => {
  const copy = new Copy();
  copy.put("1", { node: "*", reason: "", expiresAt: "9999-01-01T00:00:00Z" });
  const guard = new FreezeGuard(copy, new FakeClock());
  assert.equal(guard.refusal({ agent: "web-01" }), null);
  assert.notEqual(guard.refusal({ agent: "web-01", user: "alice" }), null);
});
