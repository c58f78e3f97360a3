import { setTimeout as delay } from "node:timers/promises";
import type { Config } from "../config/config.js";
import { MezError } from "../errors/error.js";
import type { Logger } from "../plugin/logger.js";
import { activeIn, rolesHere } from "../plugin/manifest.js";
import type { PackageIdentity, PackageToAdd, PluginHost, PluginStatus, ReloadResult } from "../plugin/plugin-host.js";
import type { ProcessInfo } from "../plugin/process.js";
import { grpcDialer } from "../rpc/client.js";
import { ProcessLiveSessions } from "../sessions/live-sessions.js";
import type { Clock } from "../time/clock.js";
import { refuseClearSecrets, withIntegrity, withoutPackage, withPackage } from "./added-packages.js";
import { type Assembly, assemble } from "./assembly.js";
import type { Catalog, CheckedEntry } from "./catalog.js";
import { ClusterState } from "./cluster-state.js";
import { coreServices } from "./core-services.js";
import { descriptorsOf } from "./declarations.js";
import { Doors } from "./doors.js";
import { Generations } from "./generations.js";
import type { PluginInstance } from "./instance.js";
import { type PluginDecisions, readDecisions, writeDecisions } from "./plugin-decisions.js";

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
    this.#assembly = await this.#assemble(this.#settings, readDecisions(this.options.process.dataDirectory));
    try {
      await this.#generations.begin(this.#assembly.plugins);
      this.#settings.adopted?.();
      this.#state.deliverLeftovers();
      await this.#doors.listen(this.#settings.config.auth.listenAddress, this.#generations.current, this.#state);
      this.#isReady = true;
    } catch (error) {
      await this.#takeDown();
      throw error;
    }
  }

  /** Ends live sessions with a reason, then stops every plugin in reverse order and frees everything. */
  async stop(): Promise<void> {
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

  enable(id: string): Promise<ReloadResult> {
    return this.#switch(id, true);
  }

  disable(id: string): Promise<ReloadResult> {
    return this.#switch(id, false);
  }

  reload(id?: string): Promise<ReloadResult> {
    return this.#oneAtATime(async () => {
      if (id !== undefined) this.#known(id);
      const decisions = readDecisions(this.options.process.dataDirectory);
      const settings = await this.options.readSettings(decisions);
      return this.#change(settings, decisions, new Set(id === undefined ? [] : [id]));
    });
  }

  async identify(from: string): Promise<PackageIdentity> {
    if (this.options.identifyPackage === undefined)
      throw new MezError("PLUGIN_PACKAGE_REFUSED", "this process takes no packages from commands");
    return this.options.identifyPackage(from);
  }

  add(wanted: PackageToAdd): Promise<PackageIdentity & { readonly change: ReloadResult }> {
    return this.#oneAtATime(async () => {
      const identity = await this.identify(wanted.from);
      const { catalog, config } = this.#settings;
      const change = await this.#decide(withPackage(this.#decisions(), identity, wanted, catalog, config.file), identity.id);
      return { ...identity, change };
    });
  }

  pin(id: string): Promise<PackageIdentity & { readonly change: ReloadResult }> {
    return this.#oneAtATime(async () => {
      const { package: origin } = this.#known(id);
      if (origin === undefined) throw new MezError("CONFLICT", `plugin "${id}" is part of this build and has no package`);
      const identity = await this.identify(origin.from);
      const { catalog, config } = this.#settings;
      if (identity.id !== id)
        throw new MezError("CONFLICT", `the package at ${origin.from} is that of plugin "${identity.id}" now`);
      const change = await this.#decide(withIntegrity(this.#decisions(), identity, catalog, config.file), id);
      return { ...identity, change };
    });
  }

  remove(id: string): Promise<ReloadResult> {
    return this.#oneAtATime(async () => {
      this.#known(id);
      const { catalog, config } = this.#settings;
      const decisions = withoutPackage(this.#decisions(), id, catalog, config.file);
      this.#refuseWhileRequired(id, "remove");
      return this.#decide(decisions, null);
    });
  }

  /** Applies what a command said, and remembers it. @param present Id of a plugin that has to have a part here. */
  async #decide(decisions: PluginDecisions, present: string | null): Promise<ReloadResult> {
    const { roles } = this.options.process;
    const settings = await this.options.readSettings(decisions);
    const manifest = present === null ? undefined : settings.catalog.get(present)?.manifest;
    if (manifest !== undefined && rolesHere(manifest, roles).size === 0)
      throw new MezError(
        "CONFLICT",
        `plugin "${manifest.id}" runs in ${(manifest.runsIn ?? []).join(", ") || "no daemon"} and not in this one; name it in the config file there`,
      );
    if (manifest !== undefined) refuseClearSecrets(manifest, decisions.added.get(manifest.id)?.config);
    return this.#change(settings, decisions, new Set(), () => this.#remember(decisions));
  }

  #decisions(): PluginDecisions {
    return readDecisions(this.options.process.dataDirectory);
  }

  #remember(decisions: PluginDecisions): void {
    writeDecisions(this.options.process.dataDirectory, decisions);
  }

  /** @param verb What is to be done with those that require it, for the message. */
  #refuseWhileRequired(id: string, verb: "disable" | "remove"): void {
    const users = this.#generations.current.instances.filter((instance) => cannotDoWithout(instance, id));
    if (users.length === 0) return;
    const names = users.map((user) => `"${user.id}"`).join(", ");
    throw new MezError("PLUGIN_REQUIRED", `plugin "${id}" is required by ${names}; ${verb} that first`);
  }

  #switch(id: string, on: boolean): Promise<ReloadResult> {
    return this.#oneAtATime(async () => {
      const { manifest } = this.#known(id);
      if (manifest.essential === true || manifest.implements?.some(({ port }) => port === "storage-driver") === true) {
        throw new MezError("PLUGIN_REQUIRED", `plugin "${id}" is part of every cluster and is always on`);
      }
      if (!on) this.#refuseWhileRequired(id, "disable");
      const { overrides, added } = this.#decisions();
      const decisions = { overrides: new Map(overrides).set(id, on), added };
      return this.#change(this.#settings, decisions, new Set(), () => this.#remember(decisions));
    });
  }

  /** @param remember Called when all of the new runs, before it takes over: what cannot be written down does not take effect. */
  async #change(
    settings: HostSettings,
    decisions: PluginDecisions,
    afresh: ReadonlySet<string>,
    remember: () => void = () => {},
  ): Promise<ReloadResult> {
    const assembly = await this.#assemble(settings, decisions, afresh);
    return this.#generations.replace(assembly.plugins, afresh, () => {
      remember();
      this.#settings = settings;
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
