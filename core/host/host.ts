import { setTimeout as delay } from "node:timers/promises";
import type { Config } from "../config/config.js";
import { MezError } from "../errors/error.js";
import type { Logger } from "../plugin/logger.js";
import { activeIn, rolesHere } from "../plugin/manifest.js";
import type {
  PackageIdentity,
  PackageRecorded,
  PackageToAdd,
  PluginHost,
  PluginStatus,
  Recorded,
  ReloadResult,
  ServerStatus,
} from "../plugin/plugin-host.js";
import type { ProcessInfo } from "../plugin/process.js";
import { grpcDialer } from "../rpc/client.js";
import { ProcessLiveSessions } from "../sessions/live-sessions.js";
import type { Clock } from "../time/clock.js";
import { refuseClearSecrets, withIntegrity, withoutPackage, withPackage } from "./added-packages.js";
import { type Assembly, assemble } from "./assembly.js";
import type { Catalog, CheckedEntry } from "./catalog.js";
import { ClusterDecisions, type SharedDecisions } from "./cluster-decisions.js";
import { ClusterState } from "./cluster-state.js";
import { coreServices } from "./core-services.js";
import { descriptorsOf } from "./declarations.js";
import { Doors } from "./doors.js";
import { Generations } from "./generations.js";
import type { PluginInstance } from "./instance.js";
import { NO_DECISIONS, type PluginDecisions, readDecisions, storedForm, writeDecisions } from "./plugin-decisions.js";

const STOP_GRACE_MS = 10_000;

/** The plugins that a process may run, and its configuration, which was checked with their manifests. */
export interface HostSettings {
  readonly catalog: Catalog;
  readonly config: Config;
  /** Called when these are the settings that the process runs with. */
  adopted?(): void;
}

export interface HostOptions extends HostSettings {
  /** Reads the configuration again with the plugins that commands added, for `reload`. */
  readonly readSettings: (decisions: PluginDecisions) => Promise<HostSettings>;
  /** Looks at a package of this machine; absent in a process that takes none from commands. */
  readonly identifyPackage?: (from: string) => Promise<PackageIdentity>;
  readonly process: ProcessInfo;
  readonly clock: Clock;
  readonly logger: (pluginId: string) => Logger;
}

/** Runs the plugins of one process: boots them, switches and reloads them, and takes everything down again. */
export class Host implements PluginHost {
  readonly #state: ClusterState;
  readonly #doors: Doors;
  readonly #generations: Generations;
  readonly #liveSessions = new ProcessLiveSessions();
  #settings: HostSettings;
  #assembly: Assembly = { plugins: [], decisions: new Map() };
  #changing: Promise<unknown> = Promise.resolve();
  /** What `#assembly` was made of. */
  #decisions: PluginDecisions = NO_DECISIONS;
  /** `null` where no other server shares the database. */
  #cluster: ClusterDecisions | null = null;
  #isReady = false;

  constructor(private readonly options: HostOptions) {
    const { process, clock, logger } = options;
    this.#settings = options;
    const common = { process, clock, logger: logger("core"), generation: () => this.#generations.current };
    this.#doors = new Doors({ ...common, isReady: () => this.#isReady });
    this.#state = new ClusterState({ ...common, subscribers: (topic) => this.#doors.subscribers(topic) });
    this.#generations = new Generations({
      core: coreServices({
        process,
        clock,
        logger,
        database: this.#state.database,
        duties: this.#state.duties,
        collections: this.#state.collections,
        liveSessions: this.#liveSessions,
        dialer: grpcDialer,
        authDoor: this.#doors.auth,
        webDoor: this.#doors.web,
        pluginHost: this,
      }),
      state: this.#state,
      logger: common.logger,
      onAdopted: (generation) => this.#doors.serve(generation),
    });
  }

  /** Where the auth service listens, `null` in a process without it. */
  get authAddress(): string | null {
    return this.#doors.authAddress;
  }

  /** A service of the running generation, for the boot code; plugins use `resolve`. */
  provided<T>(token: { readonly id: string; readonly version: number; readonly type?: T }): T | null {
    return this.#generations.current.provided(token);
  }

  /**
   * Boots: assembles, builds, opens the database, starts every plugin in order, then answers calls. All or nothing.
   * @throws {MezError} naming the plugin and the hook that failed; everything started until then has been taken down.
   */
  async start(): Promise<void> {
    this.#decisions = readDecisions(this.options.process.dataDirectory);
    this.#assembly = await this.#assemble(this.#settings, this.#decisions);
    try {
      await this.#generations.begin(this.#assembly.plugins);
      this.#settings.adopted?.();
      this.#state.deliverLeftovers();
      await this.#joinServers();
      await this.#doors.listen(this.#settings.config.auth.listenAddress, this.#generations.current, this.#state);
      this.#cluster?.start();
      this.#isReady = true;
    } catch (error) {
      await this.#takeDown();
      throw error;
    }
  }

  /** Ends live sessions with a reason, then stops every plugin in reverse order and frees everything. */
  async stop(): Promise<void> {
    await this.#cluster?.stop();
    await this.#changing.catch(() => {});
    this.#isReady = false;
    await this.#generations.drain();
    for (const session of this.#liveSessions.all()) session.end("the server is shutting down");
    await Promise.race([this.#generations.idle(), delay(STOP_GRACE_MS, undefined, { ref: false })]);
    await this.#takeDown();
  }

  list(): readonly PluginStatus[] {
    return [...this.#settings.catalog.values()].flatMap(({ manifest, package: origin = null, health }) => {
      const decision = this.#assembly.decisions.get(manifest.id);
      if (decision === undefined) return [];
      const instance = this.#generations.current.get(manifest.id);
      const isDraining = this.#generations.isLeaving(manifest.id);
      return [
        {
          manifest,
          state: instance !== undefined ? ("on" as const) : isDraining ? ("draining" as const) : ("off" as const),
          decidedBy: decision.decidedBy,
          leases: instance?.leases ?? 0,
          starts: this.#generations.startsOf(manifest.id),
          descriptors: describes(manifest) && instance !== undefined ? descriptorsOf(instance.declarations) : [],
          package: origin,
          health: instance === undefined ? null : (health?.() ?? null),
        },
      ];
    });
  }

  async servers(): Promise<readonly ServerStatus[]> {
    return (await this.#cluster?.statuses()) ?? [];
  }

  enable(id: string, recorded?: Recorded): Promise<ReloadResult> {
    return this.#switch(id, true, recorded);
  }

  disable(id: string, recorded?: Recorded): Promise<ReloadResult> {
    return this.#switch(id, false, recorded);
  }

  reload(id?: string, recorded?: Recorded): Promise<ReloadResult> {
    return this.#oneAtATime(async () => {
      const base = recorded === undefined ? this.#own() : await this.#base();
      if (id !== undefined) this.#known(id);
      const settings = await this.options.readSettings(base.decisions);
      const commit = recorded === undefined ? async () => {} : this.#commit(base, base.decisions, recorded, id ?? "");
      return this.#change(settings, base.decisions, new Set(id === undefined ? [] : [id]), commit);
    });
  }

  async identify(from: string): Promise<PackageIdentity> {
    if (this.options.identifyPackage === undefined)
      throw new MezError("PLUGIN_PACKAGE_REFUSED", "this process takes no packages from commands");
    return this.options.identifyPackage(from);
  }

  add(wanted: PackageToAdd, recorded?: PackageRecorded): Promise<PackageIdentity & { readonly change: ReloadResult }> {
    return this.#oneAtATime(async () => {
      const identity = await this.identify(wanted.from);
      const base = await this.#base();
      const { catalog, config } = this.#settings;
      const decisions = withPackage(base.decisions, identity, wanted, catalog, config.file);
      const change = await this.#decide(base, decisions, identity.id, (tx, done) => recorded?.(tx, done, identity));
      return { ...identity, change };
    });
  }

  pin(id: string, recorded?: PackageRecorded): Promise<PackageIdentity & { readonly change: ReloadResult }> {
    return this.#oneAtATime(async () => {
      const base = await this.#base();
      const { package: origin } = this.#known(id);
      if (origin === undefined) throw new MezError("CONFLICT", `plugin "${id}" is part of this build and has no package`);
      const identity = await this.identify(origin.from);
      const { catalog, config } = this.#settings;
      if (identity.id !== id)
        throw new MezError("CONFLICT", `the package at ${origin.from} is that of plugin "${identity.id}" now`);
      const decisions = withIntegrity(base.decisions, identity, catalog, config.file);
      const change = await this.#decide(base, decisions, id, (tx, done) => recorded?.(tx, done, identity));
      return { ...identity, change };
    });
  }

  remove(id: string, recorded?: Recorded): Promise<ReloadResult> {
    return this.#oneAtATime(async () => {
      const base = await this.#base();
      const { catalog, config } = this.#settings;
      // Added at another server, and this one cannot run it.
      if (catalog.has(id) || !base.decisions.added.has(id)) this.#known(id);
      const decisions = withoutPackage(base.decisions, id, catalog, config.file);
      this.#refuseWhileRequired(id, "remove");
      return this.#decide(base, decisions, null, recorded);
    });
  }

  /** Follows what the servers that share the database have decided; before anybody is served. */
  async #joinServers(): Promise<void> {
    const { servers } = this.#state;
    if (servers === null) return;
    this.#cluster = new ClusterDecisions({
      servers,
      transaction: (work) => this.#state.database.transaction(work),
      dataDirectory: this.options.process.dataDirectory,
      address: () => this.#doors.authAddress,
      apply: (decisions, reloaded) => this.#apply(decisions, reloaded),
      alone: (work) => this.#oneAtATime(work),
      logger: this.options.logger("core"),
    });
    await this.#cluster.begin();
  }

  /** Runs what another server was told. */
  async #apply(decisions: PluginDecisions, reloaded: ReadonlySet<string>): Promise<ReloadResult> {
    const isSame = JSON.stringify(storedForm(decisions)) === JSON.stringify(storedForm(this.#decisions));
    const generation = this.#generations.current.number;
    if (isSame && reloaded.size === 0) return { generation, started: [], replaced: [], stopped: [] };
    const settings = await this.options.readSettings(decisions);
    const here = new Set([...reloaded].filter((id) => settings.catalog.has(id)));
    return this.#change(settings, decisions, here, async () => writeDecisions(this.options.process.dataDirectory, decisions));
  }

  /** What commands have said until now. */
  async #base(): Promise<SharedDecisions> {
    return (await this.#cluster?.latest()) ?? this.#own();
  }

  #own(): SharedDecisions {
    return { revision: 0, decisions: readDecisions(this.options.process.dataDirectory), reloads: {} };
  }

  /** Applies what a command said. @param present Id of a plugin that has to have a part here. */
  async #decide(
    base: SharedDecisions,
    decisions: PluginDecisions,
    present: string | null,
    recorded: Recorded | undefined,
  ): Promise<ReloadResult> {
    const settings = await this.options.readSettings(decisions);
    const manifest = present === null ? undefined : settings.catalog.get(present)?.manifest;
    if (manifest !== undefined && rolesHere(manifest, this.options.process.roles).size === 0)
      throw new MezError(
        "CONFLICT",
        `plugin "${manifest.id}" runs in ${(manifest.runsIn ?? []).join(", ") || "no daemon"} and not in this one; name it in the config file there`,
      );
    if (manifest !== undefined) refuseClearSecrets(manifest, decisions.added.get(manifest.id)?.config);
    return this.#change(settings, decisions, new Set(), this.#commit(base, decisions, recorded, null));
  }

  /** Makes a change hold that runs already: in the file, in the database that is shared, in the audit log. */
  #commit(base: SharedDecisions, decisions: PluginDecisions, recorded: Recorded | undefined, reload: string | null): Commit {
    const { dataDirectory } = this.options.process;
    return async (change) => {
      const before = readDecisions(dataDirectory);
      writeDecisions(dataDirectory, decisions);
      if (this.#cluster === null && recorded === undefined) return;
      try {
        let decided: (() => void) | undefined;
        await this.#state.database.transaction(async (tx) => {
          decided = await this.#cluster?.decide(tx, base, decisions, reload);
          recorded?.(tx, change);
        });
        decided?.();
      } catch (error) {
        writeDecisions(dataDirectory, before);
        throw error;
      }
    };
  }

  /** @param verb What is to be done with those that require it, for the message. */
  #refuseWhileRequired(id: string, verb: "disable" | "remove"): void {
    const users = this.#generations.current.instances.filter((instance) => cannotDoWithout(instance, id));
    if (users.length === 0) return;
    const names = users.map((user) => `"${user.id}"`).join(", ");
    throw new MezError("PLUGIN_REQUIRED", `plugin "${id}" is required by ${names}; ${verb} that first`);
  }

  #switch(id: string, on: boolean, recorded: Recorded | undefined): Promise<ReloadResult> {
    return this.#oneAtATime(async () => {
      const base = await this.#base();
      const { manifest } = this.#known(id);
      if (manifest.essential === true || manifest.implements?.some(({ port }) => port === "storage-driver") === true) {
        throw new MezError("PLUGIN_REQUIRED", `plugin "${id}" is part of every cluster and is always on`);
      }
      if (!on) this.#refuseWhileRequired(id, "disable");
      const { overrides, added } = base.decisions;
      const decisions = { overrides: new Map(overrides).set(id, on), added };
      const isFollowed = JSON.stringify([...added]) === JSON.stringify([...this.#decisions.added]);
      const settings = isFollowed ? this.#settings : await this.options.readSettings(decisions);
      return this.#change(settings, decisions, new Set(), this.#commit(base, decisions, recorded, null));
    });
  }

  /** @param commit When it fails, nothing has changed. */
  async #change(
    settings: HostSettings,
    decisions: PluginDecisions,
    afresh: ReadonlySet<string>,
    commit: Commit,
  ): Promise<ReloadResult> {
    const assembly = await this.#assemble(settings, decisions, afresh);
    return this.#generations.replace(assembly.plugins, afresh, async (change) => {
      await commit(change);
      this.#settings = settings;
      this.#decisions = decisions;
      this.#assembly = assembly;
      settings.adopted?.();
    });
  }

  #assemble({ catalog, config }: HostSettings, { overrides }: PluginDecisions, afresh?: ReadonlySet<string>): Promise<Assembly> {
    return assemble(catalog, config, overrides, this.options.process.roles, afresh);
  }

  async #takeDown(): Promise<void> {
    await this.#doors.close();
    await this.#generations.dispose();
    await this.#state.close();
  }

  #known(id: string): CheckedEntry {
    const entry = this.#settings.catalog.get(id);
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
}

// --- internal ---

type Commit = (change: ReloadResult) => Promise<void>;

function describes({ contributes }: PluginStatus["manifest"]): boolean {
  return contributes?.commands?.some(({ commands }) => commands !== undefined) === true;
}

/** Whether `instance` requires a service or port of plugin `id`, and not just as an optional or late one. */
function cannotDoWithout(instance: PluginInstance, id: string): boolean {
  const provider = instance.requires.find((needed) => needed.id === id);
  if (provider === undefined) return false;
  const { services, implementations } = provider.declarations;
  const offered = new Set([...services.map(({ token }) => token.id), ...implementations.map(({ port }) => port.id)]);
  return activeIn(instance.manifest.requires, instance.roles).some(
    ({ service, optional, late }) => optional !== true && late !== true && offered.has(service),
  );
}
