import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { isMezError, MezError } from "../../core/errors/error.js";
import type { Database } from "../../core/plugin/database.js";
import type { Manifest } from "../../core/plugin/manifest.js";
import type {
  PackageIdentity,
  PackageRecorded,
  PackageToAdd,
  PluginHost,
  PluginStatus,
  Recorded,
  ReloadResult,
  ServerStatus,
} from "../../core/plugin/plugin-host.js";
import { openTestDatabase, type TestDatabase } from "../../test/fixtures/database.js";
import { manifestOf } from "../../test/fixtures/plugins.js";
import { callOf } from "../../test/fixtures/recording-server.js";
import { PluginCatalog } from "./plugin-catalog.js";
import { pluginCatalogHandlers } from "./plugin-catalog-rpc.js";

const ADMIN = callOf({
  ...{ kind: "user", name: "admin", roles: ["admin"], sessionId: "s1", mustChangePassword: false },
  traits: { internal: {}, external: {} },
});

const INTEGRITY = `sha256-${"0".repeat(64)}`;

/** A host of plugins that can be switched. */
class FakeHost implements PluginHost {
  readonly #on = new Set<string>();
  readonly #manifests: readonly Manifest[];
  #generation = 1;

  constructor(
    manifests: readonly Manifest[],
    private readonly database: Database,
  ) {
    this.#manifests = manifests;
    for (const { id } of manifests) this.#on.add(id);
  }

  list(): readonly PluginStatus[] {
    return this.#manifests.map((manifest) => ({
      ...{ manifest, decidedBy: "default", leases: 0, starts: 1, package: null },
      state: this.#on.has(manifest.id) ? "on" : "off",
    }));
  }

  async servers(): Promise<readonly ServerStatus[]> {
    return [{ name: "auth-a", address: "a:3025", isThis: true, isCurrent: true, problem: "" }];
  }

  async enable(id: string, recorded?: Recorded): Promise<ReloadResult> {
    if (!this.#manifests.some((manifest) => manifest.id === id)) throw new MezError("PLUGIN_UNKNOWN", `no plugin "${id}"`);
    this.#on.add(id);
    return this.#change({ started: [id] }, recorded);
  }

  async disable(id: string, recorded?: Recorded): Promise<ReloadResult> {
    if (id === "needed") throw new MezError("PLUGIN_REQUIRED", 'plugin "needed" is required by "other"');
    this.#on.delete(id);
    return this.#change({ stopped: [id] }, recorded);
  }

  async identify(from: string): Promise<PackageIdentity> {
    return { id: from.replace("path:", ""), version: "1.0.0", integrity: INTEGRITY, ports: [] };
  }

  async add({ from }: PackageToAdd, recorded?: PackageRecorded): Promise<PackageIdentity & { change: ReloadResult }> {
    const identity = await this.identify(from);
    const change = await this.#change({ started: [identity.id] }, (tx, done) => recorded?.(tx, done, identity));
    return { ...identity, change };
  }

  async pin(id: string, recorded?: PackageRecorded): Promise<PackageIdentity & { change: ReloadResult }> {
    const identity = await this.identify(id);
    return { ...identity, change: await this.#change({ replaced: [id] }, (tx, done) => recorded?.(tx, done, identity)) };
  }

  async remove(id: string, recorded?: Recorded): Promise<ReloadResult> {
    return this.#change({ stopped: [id] }, recorded);
  }

  async reload(id?: string, recorded?: Recorded): Promise<ReloadResult> {
    return this.#change(id === undefined ? {} : { replaced: [id] }, recorded);
  }

  async #change(what: Partial<ReloadResult>, recorded: Recorded | undefined): Promise<ReloadResult> {
    this.#generation += 1;
    const change = { generation: this.#generation, started: [], replaced: [], stopped: [], ...what };
    await this.database.transaction(async (tx) => recorded?.(tx, change));
    return change;
  }
}

describe("plugins in the running server", () => {
  let opened: TestDatabase;
  let handlers: ReturnType<typeof pluginCatalogHandlers>;
  before(async () => {
    opened = await openTestDatabase({});
  });
  beforeEach(() => {
    opened.audits.length = 0;
    const locks = manifestOf("locks", {
      contributes: {
        commands: [{ name: "locks", binary: "mezctl", summary: "Lock" }],
        rpc: ["mezite.locks.v1.LockService"],
        permissions: [{ permission: "lock:list", grantedTo: ["auditor"] }],
      },
    });
    handlers = pluginCatalogHandlers(new PluginCatalog(new FakeHost([manifestOf("needed"), locks], opened.database)));
  });
  after(() => opened.close());

  test("are listed by id, with what they add", async () => {
    const { plugins } = await handlers.listPlugins({}, ADMIN);
    assert.deepEqual(
      plugins.map(({ id, state }) => [id, state]),
      [
        ["locks", "on"],
        ["needed", "on"],
      ],
    );
    assert.deepEqual(plugins[0]?.contributes?.permissions, [{ permission: "lock:list", grantedTo: ["auditor"] }]);
  });

  test("are switched and reloaded, and the log says who did it and what it changed", async () => {
    await handlers.disablePlugin({ id: "locks" }, ADMIN);
    await handlers.enablePlugin({ id: "locks" }, ADMIN);
    await handlers.reloadPlugins({ id: "locks" }, ADMIN);
    const { change } = await handlers.reloadPlugins({ id: "" }, ADMIN);
    assert.equal(change?.generation, 5);
    assert.deepEqual(
      opened.audits.map(({ type, userName, resourceName }) => [type, userName, resourceName]),
      [
        ["plugin.disabled", "admin", "locks"],
        ["plugin.enabled", "admin", "locks"],
        ["plugin.reloaded", "admin", "locks"],
        ["plugin.reloaded", "admin", ""],
      ],
    );
    assert.deepEqual(opened.audits[0]?.metadata, { generation: 2, started: [], replaced: [], stopped: ["locks"] });
  });

  test("are added, pinned and taken out, and the log says which package it was", async () => {
    const add = { from: "path:hr", integrity: "", isolation: "process", memoryMib: 64, config: "{}" };
    const added = await handlers.addPlugin(add, ADMIN);
    assert.deepEqual(added.package, { id: "hr", version: "1.0.0", integrity: INTEGRITY });
    assert.deepEqual((await handlers.pinPlugin({ target: "hr" }, ADMIN)).change?.replaced, ["hr"]);
    assert.equal((await handlers.pinPlugin({ target: "path:hr" }, ADMIN)).change, undefined);
    await handlers.removePlugin({ id: "hr" }, ADMIN);
    assert.deepEqual(
      opened.audits.map(({ type, resourceName, metadata }) => [type, resourceName, metadata?.integrity]),
      [
        ["plugin.added", "hr", INTEGRITY],
        ["plugin.pinned", "hr", INTEGRITY],
        ["plugin.removed", "hr", undefined],
      ],
    );
    for (const wrong of [{ isolation: "vm" }, { integrity: "md5-1" }, { memoryMib: 1 }, { config: "[]" }, { config: "{" }])
      await assert.rejects(handlers.addPlugin({ ...add, ...wrong }, ADMIN), (error) => isMezError(error, "INVALID_ARGUMENT"));
  });

  test("leave no trace in the log when the host refuses", async () => {
    await assert.rejects(handlers.disablePlugin({ id: "needed" }, ADMIN), (error) => isMezError(error, "PLUGIN_REQUIRED"));
    await assert.rejects(handlers.enablePlugin({ id: "nothing" }, ADMIN), (error) => isMezError(error, "PLUGIN_UNKNOWN"));
    assert.deepEqual(opened.audits, []);
  });

  test("are described while they are on, under a digest that changes with them", async () => {
    const first = await handlers.describePlugins({ knownDigest: "" }, ADMIN);
    assert.deepEqual(
      first.plugins.map(({ id, rpc }) => [id, rpc]),
      [
        ["locks", ["mezite.locks.v1.LockService"]],
        ["needed", []],
      ],
    );
    assert.match(first.digest, /^[0-9a-f]{64}$/);
    assert.deepEqual(await handlers.describePlugins({ knownDigest: first.digest }, ADMIN), { plugins: [], digest: first.digest });
    await handlers.disablePlugin({ id: "locks" }, ADMIN);
    const second = await handlers.describePlugins({ knownDigest: first.digest }, ADMIN);
    assert.notEqual(second.digest, first.digest);
    assert.deepEqual(
      second.plugins.map(({ id }) => id),
      ["needed"],
    );
    await handlers.enablePlugin({ id: "locks" }, ADMIN);
    assert.equal((await handlers.describePlugins({ knownDigest: "" }, ADMIN)).digest, first.digest);
  });
});
