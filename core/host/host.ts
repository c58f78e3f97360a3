import { setTimeout as delay } from "node:timers/promises";
import type { Config } from "../config/config.js";
import { MezError } from "../errors/error.js";
import type { AuthDoor } from "../plugin/auth-door.js";
import { HOST_IDENTITIES, type HostIdentity } from "../plugin/host-identity.js";
import type { Logger } from "../plugin/logger.js";
import { activeIn } from "../plugin/manifest.js";
import type { PluginHost, PluginStatus, ReloadResult } from "../plugin/plugin-host.js";
import type { ProcessInfo } from "../plugin/process.js";
import { WEB_AUTHENTICATOR } from "../ports/web-authenticator.js";
import { grpcDialer } from "../rpc/client.js";
import { RelayedDoor } from "../rpc/relayed-door.js";
import { ProcessLiveSessions } from "../sessions/live-sessions.js";
import type { Clock } from "../time/clock.js";
import { ownRoutes } from "../web/own-routes.js";
import type { ServedRoute } from "../web/route-table.js";
import { WebServer } from "../web/web-server.js";
import { type AssembledPlugin, type Assembly, assemble } from "./assembly.js";
import { AuthListener } from "./auth-listener.js";
import type { Catalog } from "./catalog.js";
import { ClusterState } from "./cluster-state.js";
import { coreServices } from "./core-services.js";
import { DispatchTable } from "./dispatch-table.js";
import { buildInstance, type CoreServices, Generation } from "./generation.js";
import { PluginInstance } from "./instance.js";
import { readOverrides, writeOverrides } from "./overrides.js";
import { planReload } from "./reload.js";

const STOP_GRACE_MS = 10_000;

export interface HostOptions {
  readonly catalog: Catalog;
  readonly config: Config;
  /** Reads the configuration again, for `reload`. */
  readonly readConfig: () => Promise<Config>;
  readonly process: ProcessInfo;
  readonly clock: Clock;
  readonly logger: (pluginId: string) => Logger;
}

/** Runs the plugins of one process: boots them in order, replaces generations, and takes everything down again. */
export class Host implements PluginHost {
  readonly #core: CoreServices;
  readonly #state: ClusterState;
  readonly #liveSessions = new ProcessLiveSessions();
  readonly #logger: Logger;
  readonly #starts = new Map<string, number>();
  readonly #leaving = new Set<PluginInstance>();
  #config: Config;
  #assembly: Assembly = { plugins: [], decisions: new Map() };
  #generation = new Generation(0, []);
  readonly #ownRoutes: readonly ServedRoute[];
  #table = new DispatchTable(this.#generation, []);
  /** While a reload builds the next generation, port views already see it. */
  #candidate: Generation | null = null;
  #listener: AuthListener | null = null;
  #changing: Promise<unknown> = Promise.resolve();
  #isReady = false;

  constructor(private readonly options: HostOptions) {
    const { process, clock, logger } = options;
    this.#config = options.config;
    this.#logger = logger("core");
    this.#ownRoutes = ownRoutes({ ...process, isReady: () => this.#isReady });
    this.#state = new ClusterState({
      process,
      clock,
      logger: this.#logger,
      generation: () => this.#generation,
      subscribers: (topic) => this.#table.subscribers(topic),
    });
    this.#core = coreServices({
      process,
      clock,
      logger,
      database: this.#state.database,
      collections: this.#state.collections,
      liveSessions: this.#liveSessions,
      dialer: grpcDialer,
      authDoor: this.#authDoor(),
      webDoor: this.#webDoor(),
      pluginHost: this,
    });
  }

  /** Where the auth service listens, `null` in a process without it. */
  get authAddress(): string | null {
    return this.#listener?.address ?? null;
  }

  /** A service of the running generation, for the boot code; plugins use `resolve`. */
  provided<T>(token: { readonly id: string; readonly version: number; readonly type?: T }): T | null {
    return this.#generation.provided(token);
  }

  /**
   * Boots: assembles, builds, opens the database, starts every plugin in order, then answers calls. All or nothing.
   * @throws {MezError} naming the plugin and the hook that failed; everything started until then has been taken down.
   */
  async start(): Promise<void> {
    this.#assembly = await assemble(
      this.options.catalog,
      this.#config,
      readOverrides(this.options.process.dataDirectory),
      this.options.process.roles,
    );
    const generation = new Generation(1, this.#instantiate(this.#assembly.plugins, new Map()));
    this.#candidate = generation;
    const started: PluginInstance[] = [];
    try {
      for (const instance of generation.instances) this.#build(instance);
      await this.#state.open(generation);
      this.#adopt(generation);
      for (const instance of generation.instances) {
        started.push(instance);
        await this.#startInstance(instance);
      }
      this.#state.deliverLeftovers();
      await this.#listen(generation);
      this.#isReady = true;
    } catch (error) {
      await this.#takeDown(started);
      throw error;
    }
  }

  /** Ends live sessions with a reason, then stops every plugin in reverse order and frees everything. */
  async stop(): Promise<void> {
    await this.#changing.catch(() => {});
    this.#isReady = false;
    for (const instance of [...this.#generation.instances].reverse()) this.#report(await instance.drain());
    for (const session of this.#liveSessions.all()) session.end("the server is shutting down");
    await Promise.race([
      Promise.all(this.#generation.instances.map((instance) => instance.idle())),
      delay(STOP_GRACE_MS, undefined, { ref: false }),
    ]);
    await this.#takeDown(this.#generation.instances);
  }

  list(): readonly PluginStatus[] {
    return [...this.options.catalog.values()].flatMap(({ manifest }) => {
      const decision = this.#assembly.decisions.get(manifest.id);
      if (decision === undefined) return [];
      const instance = this.#generation.get(manifest.id);
      const draining = [...this.#leaving].some(({ id }) => id === manifest.id);
      return [
        {
          manifest,
          state: instance !== undefined ? ("on" as const) : draining ? ("draining" as const) : ("off" as const),
          decidedBy: decision.decidedBy,
          leases: instance?.leases ?? 0,
          starts: this.#starts.get(manifest.id) ?? 0,
        },
      ];
    });
  }

  enable(id: string): Promise<ReloadResult> {
    return this.#switch(id, true);
  }

  disable(id: string): Promise<ReloadResult> {
    return this.#switch(id, false);
  }

  reload(id?: string): Promise<ReloadResult> {
    return this.#oneAtATime(async () => {
      if (id !== undefined) this.#known(id);
      const config = await this.options.readConfig();
      return this.#change(config, readOverrides(this.options.process.dataDirectory), new Set(id === undefined ? [] : [id]));
    });
  }

  #switch(id: string, on: boolean): Promise<ReloadResult> {
    return this.#oneAtATime(async () => {
      const { manifest } = this.#known(id);
      if (manifest.essential === true || manifest.implements?.some(({ port }) => port === "storage-driver") === true) {
        throw new MezError("PLUGIN_REQUIRED", `plugin "${id}" is part of every cluster and is always on`);
      }
      const users = on ? [] : this.#generation.instances.filter((instance) => cannotDoWithout(instance, id));
      if (users.length > 0)
        throw new MezError(
          "PLUGIN_REQUIRED",
          `plugin "${id}" is required by ${users.map((user) => `"${user.id}"`).join(", ")}; disable that first`,
        );
      const { dataDirectory } = this.options.process;
      const overrides = new Map(readOverrides(dataDirectory)).set(id, on);
      const result = await this.#change(this.#config, overrides, new Set());
      writeOverrides(dataDirectory, overrides);
      return result;
    });
  }

  /** The new beside the old: any failure leaves the old in place. */
  async #change(config: Config, overrides: ReadonlyMap<string, boolean>, afresh: ReadonlySet<string>): Promise<ReloadResult> {
    const assembly = await assemble(this.options.catalog, config, overrides, this.options.process.roles);
    const previous = this.#generation;
    const wanted = assembly.plugins.map(({ entry, digest, requires }) => ({ id: entry.manifest.id, digest, requires }));
    const plan = planReload(previous.instances, wanted, afresh);
    refuseWhatNeedsRestart(plan.leaving);
    const kept = new Map(plan.next.flatMap(({ id, kept: instance }) => (instance === null ? [] : [[id, instance] as const])));
    const next = new Generation(previous.number + 1, this.#instantiate(assembly.plugins, kept));
    const fresh = next.instances.filter((instance) => !kept.has(instance.id));
    const started: PluginInstance[] = [];
    this.#candidate = next;
    try {
      for (const instance of fresh) this.#build(instance);
      await this.#state.add(fresh);
      for (const instance of fresh) {
        started.push(instance);
        await this.#startInstance(instance);
      }
    } catch (error) {
      this.#candidate = null;
      for (const instance of started.reverse()) this.#report(await instance.dispose());
      throw error;
    }
    this.#config = config;
    this.#assembly = assembly;
    this.#adopt(next);
    for (const instance of plan.leaving) await this.#retire(instance, next);
    const replaced = fresh.filter(({ id }) => previous.get(id) !== undefined).map(({ id }) => id);
    return {
      generation: next.number,
      started: fresh.map(({ id }) => id).filter((id) => !replaced.includes(id)),
      replaced,
      stopped: plan.leaving.map(({ id }) => id).filter((id) => !replaced.includes(id)),
    };
  }

  #instantiate(plugins: readonly AssembledPlugin[], kept: ReadonlyMap<string, PluginInstance>): readonly PluginInstance[] {
    const made = new Map<string, PluginInstance>();
    for (const { entry, digest, roles, requires, declarations } of plugins) {
      const needed = requires.map((id) => made.get(id) as PluginInstance);
      const { manifest } = entry;
      made.set(manifest.id, kept.get(manifest.id) ?? new PluginInstance(manifest, digest, roles, declarations, needed));
    }
    return [...made.values()];
  }

  #build(instance: PluginInstance): void {
    buildInstance(instance, this.#core, () => this.#candidate ?? this.#generation);
  }

  async #startInstance(instance: PluginInstance): Promise<void> {
    await instance.start();
    this.#starts.set(instance.id, (this.#starts.get(instance.id) ?? 0) + 1);
  }

  #adopt(generation: Generation): void {
    this.#generation = generation;
    this.#candidate = null;
    this.#table = new DispatchTable(generation, this.#ownRoutes);
    this.#listener?.serve(generation);
  }

  async #listen(generation: Generation): Promise<void> {
    const collections = this.#state.published;
    if (collections === null) return;
    const identity = generation.provided(HOST_IDENTITIES)?.of("auth");
    if (identity === undefined)
      throw new MezError("PLUGIN_GRAPH_INVALID", "no enabled plugin gives the auth service its certificate");
    this.#listener = new AuthListener({
      generation: () => this.#generation,
      route: (service, method) => this.#table.route(service, method),
      collections,
      audit: (record) => this.#state.audit(record),
      clock: this.options.clock,
      logger: this.#logger,
    });
    await this.#listener.start(this.#config.auth.listenAddress, identity, generation);
  }

  #authDoor(): AuthDoor {
    const { process, logger } = this.options;
    if (process.roles.has("auth"))
      return {
        accept: (connection) => {
          if (this.#listener === null) connection.destroy();
          else this.#listener.accept(connection);
        },
      };
    const identity = (): HostIdentity => {
      const identities = this.#generation.provided(HOST_IDENTITIES);
      if (identities === null) throw new MezError("UNAVAILABLE", "this process has no identity in the cluster");
      return identities.of("proxy");
    };
    return new RelayedDoor({ identity, addresses: process.authAddresses, logger: logger("core") });
  }

  #webDoor(): WebServer {
    return new WebServer({
      routes: () => this.#table.webRoutes,
      authenticators: () => [...this.#generation.implementations(WEB_AUTHENTICATOR).values()],
      isReady: () => this.#isReady,
      clock: this.options.clock,
      logger: this.#logger,
    });
  }

  /** Drains at once, disposes when the last lease is returned. */
  async #retire(instance: PluginInstance, next: Generation): Promise<void> {
    this.#leaving.add(instance);
    this.#report(await instance.drain());
    this.#state.withdraw(instance, next);
    void instance
      .idle()
      .then(() => instance.dispose())
      .then((failures) => {
        this.#report(failures);
        this.#leaving.delete(instance);
      });
  }

  async #takeDown(started: readonly PluginInstance[]): Promise<void> {
    await this.#listener?.close();
    for (const instance of [...started].reverse()) this.#report(await instance.dispose());
    await this.#state.close();
  }

  #known(id: string): { readonly manifest: PluginStatus["manifest"] } {
    const entry = this.options.catalog.get(id);
    if (entry === undefined || !this.#assembly.decisions.has(id)) {
      throw new MezError("PLUGIN_UNKNOWN", `no plugin "${id.slice(0, 64)}" is known here; mezctl plugins ls shows them all`);
    }
    return entry;
  }

  #oneAtATime<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#changing.catch(() => {}).then(work);
    this.#changing = next;
    return next;
  }

  #report(failures: readonly MezError[]): void {
    for (const failure of failures) this.#logger.error(failure.message, { code: failure.code });
  }
}

// --- internal ---

/** Whether `instance` requires a service or port of plugin `id`, and not just as an optional one. */
function cannotDoWithout(instance: PluginInstance, id: string): boolean {
  const provider = instance.requires.find((needed) => needed.id === id);
  if (provider === undefined) return false;
  const { services, implementations } = provider.declarations;
  const offered = new Set([...services.map(({ token }) => token.id), ...implementations.map(({ port }) => port.id)]);
  return activeIn(instance.manifest.requires, instance.roles).some(
    ({ service, optional }) => optional !== true && offered.has(service),
  );
}

function refuseWhatNeedsRestart(leaving: readonly PluginInstance[]): void {
  const stuck = leaving.filter(({ manifest }) => manifest.reload === "restart").map(({ id }) => `"${id}"`);
  if (stuck.length === 0) return;
  throw new MezError(
    "PLUGIN_NEEDS_RESTART",
    `this change replaces ${stuck.join(", ")}, which cannot be done in a running process; write it into the config file and restart mezd`,
  );
}
