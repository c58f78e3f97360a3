import type { Config } from "../config/config.js";
import { MezError } from "../errors/error.js";
import type { Logger } from "../plugin/logger.js";
import { rolesHere } from "../plugin/manifest.js";
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
import { refuseClearSecrets, withIntegrity, withoutPackage, withPackage } from "./added-packages.js";
import { type Assembly, assemble } from "./assembly.js";
import { auditFoundDecisions, noteDecisions } from "./audited-decisions.js";
import type { CheckedEntry } from "./catalog.js";
import { ClusterDecisions, type SharedDecisions } from "./cluster-decisions.js";
import type { ClusterState } from "./cluster-state.js";
import type { Generations } from "./generations.js";
import type { HostSettings } from "./host-settings.js";
import { type AbsentPackage, type PackageLeniency, STRICT } from "./package-leniency.js";
import { explainAbsence, leniencyOf, recordProblems, WAY_OUT } from "./package-problems.js";
import { NO_DECISIONS, type PluginDecisions, readDecisions, storedForm, withPorts, writeDecisions } from "./plugin-decisions.js";
import { statusesOf } from "./plugin-statuses.js";
import { refuseWhileRequired } from "./required-plugins.js";
import { whyFixed } from "./selection.js";

export interface PluginControlsParts {
  readonly settings: HostSettings;
  /** Reads the configuration again with the plugins that commands added, for `reload`. */
  readonly readSettings: (decisions: PluginDecisions, leniency: PackageLeniency) => Promise<HostSettings>;
  /** Looks at a package of this machine; absent in a process that takes none from commands. */
  readonly identifyPackage?: (from: string) => Promise<PackageIdentity>;
  readonly process: ProcessInfo;
  readonly state: ClusterState;
  /** Those that they control; known when the first is built. */
  readonly generations: () => Generations;
  /** Where this server listens; `null` before it does. */
  readonly address: () => string | null;
  readonly logger: Logger;
}

/**
 * What is decided of the plugins of a process: which run, by whose word, and from where; one change at a time. With other auth
 * servers at the same database they decide together.
 */
export class PluginControls implements PluginHost {
  #settings: HostSettings;
  #assembly: Assembly = { plugins: [], decisions: new Map() };
  #changing: Promise<unknown> = Promise.resolve();
  /** What `#assembly` was made of. */
  #decisions: PluginDecisions = NO_DECISIONS;
  /** `null` where no other server shares the database. */
  #cluster: ClusterDecisions | null = null;

  constructor(private readonly parts: PluginControlsParts) {
    this.#settings = parts.settings;
  }

  /** What the process runs with. */
  get config(): Config {
    return this.#settings.config;
  }

  /** Prepares the first generation, as it was decided when this process ran last. @throws {MezError} as `assemble` */
  async assemble(): Promise<void> {
    this.#decisions = readDecisions(this.parts.process.dataDirectory);
    const { absent = [] } = this.#settings;
    this.#assembly = await this.#assemble(this.#settings, this.#decisions).catch((error: unknown) => {
      throw explainAbsence(error, absent);
    });
  }

  /** Starts it. @throws {MezError} as `Generations.begin` */
  async begin(): Promise<void> {
    await this.parts.generations().begin(this.#assembly.plugins);
    this.#settings.adopted?.();
  }

  /** Does what the servers that share the database have decided; before anybody is served. */
  async join(): Promise<void> {
    const { servers, published, database } = this.parts.state;
    if (servers === null) {
      if (published === null) return;
      this.#decisions = this.#noted(this.#decisions);
      await auditFoundDecisions(database, this.#decisions);
      return;
    }
    this.#cluster = new ClusterDecisions({
      servers,
      transaction: (work) => this.parts.state.database.transaction(work),
      dataDirectory: this.parts.process.dataDirectory,
      address: this.parts.address,
      apply: (decisions, reloaded, isRest) => this.#apply(decisions, reloaded, isRest),
      lacks: (id) => this.#lacks(id),
      alone: (work) => this.#oneAtATime(work),
      logger: this.parts.logger,
    });
    await this.#cluster.begin();
  }

  /** Says of which packages this server does not run what is there. */
  tellProblems(): void {
    recordProblems(this.#settings, this.parts.logger, (record) => this.parts.state.audit(record));
  }

  /** Looks for what the others decide, from now on. */
  follow(): void {
    this.#cluster?.start();
  }

  /** Changes nothing any more, when what is under way is done. */
  async stop(): Promise<void> {
    await this.#cluster?.stop();
    await this.#changing.catch(() => {});
  }

  list(): readonly PluginStatus[] {
    return statusesOf(this.#settings, this.#assembly.decisions, this.parts.generations());
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
      const settings = await this.parts.readSettings(base.decisions, leniencyOf(this.#settings, id));
      const commit = recorded === undefined ? async () => {} : this.#commit(base, base.decisions, recorded, id ?? "");
      return this.#change(settings, base.decisions, new Set(id === undefined ? [] : [id]), commit);
    });
  }

  async identify(from: string): Promise<PackageIdentity> {
    if (this.parts.identifyPackage === undefined)
      throw new MezError("PLUGIN_PACKAGE_REFUSED", "this process takes no packages from commands");
    return this.parts.identifyPackage(from);
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
      const origin = this.#absent(id) ?? this.#known(id).package;
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
      refuseWhileRequired(this.parts.generations().current, id, "remove");
      return this.#decide(base, decisions, null, recorded);
    });
  }

  /** Runs what another server was told. @param isRest Whether it goes on without the packages that are not there. */
  async #apply(decisions: PluginDecisions, reloaded: ReadonlySet<string>, isRest: boolean): Promise<ReloadResult> {
    const isSame = JSON.stringify(storedForm(decisions)) === JSON.stringify(storedForm(this.#decisions));
    const generation = this.parts.generations().current.number;
    const isWhole = isRest || (this.#settings.absent ?? []).length === 0;
    if (isSame && isWhole && reloaded.size === 0) return { generation, started: [], replaced: [], stopped: [] };
    const lenient = leniencyOf(this.#settings);
    const settings = await this.parts.readSettings(decisions, isRest ? lenient : { ...lenient, without: STRICT.without });
    const here = new Set([...reloaded].filter((id) => settings.catalog.has(id)));
    return this.#change(settings, decisions, here, async () =>
      writeDecisions(this.parts.process.dataDirectory, withPorts(decisions, settings.catalog)),
    );
  }

  /** Notes in `plugins.json` which ports packages fill, where a release before did not. */
  #noted(decisions: PluginDecisions): PluginDecisions {
    const noted = withPorts(decisions, this.#settings.catalog);
    if (JSON.stringify(storedForm(noted)) !== JSON.stringify(storedForm(decisions)))
      writeDecisions(this.parts.process.dataDirectory, noted);
    return noted;
  }

  /** What commands have said until now. */
  async #base(): Promise<SharedDecisions> {
    return (await this.#cluster?.latest()) ?? this.#own();
  }

  #own(): SharedDecisions {
    return { revision: 0, decisions: readDecisions(this.parts.process.dataDirectory), reloads: {} };
  }

  /** Applies what a command said. @param present Id of a plugin that has to have a part here. */
  async #decide(
    base: SharedDecisions,
    decisions: PluginDecisions,
    present: string | null,
    recorded: Recorded | undefined,
  ): Promise<ReloadResult> {
    const settings = await this.parts.readSettings(decisions, leniencyOf(this.#settings, present));
    const manifest = present === null ? undefined : settings.catalog.get(present)?.manifest;
    if (manifest !== undefined && rolesHere(manifest, this.parts.process.roles).size === 0)
      throw new MezError(
        "CONFLICT",
        `plugin "${manifest.id}" runs in ${(manifest.runsIn ?? []).join(", ") || "no daemon"} and not in this one; name it in the config file there`,
      );
    if (manifest !== undefined) refuseClearSecrets(manifest, decisions.added.get(manifest.id)?.config);
    return this.#change(settings, decisions, new Set(), this.#commit(base, decisions, recorded, null));
  }

  /** Makes a change hold that runs already: in the file, in the database that is shared, in the audit log. */
  #commit(base: SharedDecisions, decisions: PluginDecisions, recorded: Recorded | undefined, reload: string | null): Commit {
    const { dataDirectory } = this.parts.process;
    return async (change) => {
      const before = readDecisions(dataDirectory);
      writeDecisions(dataDirectory, decisions);
      if (this.#cluster === null && recorded === undefined) return;
      try {
        let decided: (() => void) | undefined;
        await this.parts.state.database.transaction(async (tx) => {
          if (this.#cluster === null) await noteDecisions(tx.em, decisions);
          else decided = await this.#cluster.decide(tx, base, decisions, reload);
          recorded?.(tx, change);
        });
        decided?.();
      } catch (error) {
        writeDecisions(dataDirectory, before);
        throw error;
      }
    };
  }

  #switch(id: string, on: boolean, recorded: Recorded | undefined): Promise<ReloadResult> {
    return this.#oneAtATime(async () => {
      const base = await this.#base();
      const { manifest } = this.#known(id);
      const fixed = whyFixed(manifest);
      if (fixed !== null) throw new MezError("PLUGIN_REQUIRED", fixed);
      if (!on) refuseWhileRequired(this.parts.generations().current, id, "disable");
      const { overrides, added } = base.decisions;
      const decisions = { overrides: new Map(overrides).set(id, on), added };
      const isFollowed = JSON.stringify([...added]) === JSON.stringify([...this.#decisions.added]);
      const settings = isFollowed ? this.#settings : await this.parts.readSettings(decisions, leniencyOf(this.#settings));
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
    return this.parts.generations().replace(assembly.plugins, afresh, async (change) => {
      await commit(change);
      this.#settings = settings;
      this.#decisions = decisions;
      this.#assembly = assembly;
      settings.adopted?.();
    });
  }

  #assemble({ catalog, config }: HostSettings, { overrides }: PluginDecisions, afresh?: ReadonlySet<string>): Promise<Assembly> {
    return assemble(catalog, config, overrides, this.parts.process.roles, afresh);
  }

  #lacks(id: string): boolean {
    const manifest = this.#settings.catalog.get(id)?.manifest;
    const hasPart = manifest === undefined || rolesHere(manifest, this.parts.process.roles).size > 0;
    return hasPart && this.parts.generations().current.get(id) === undefined;
  }

  #absent(id: string): AbsentPackage | undefined {
    return this.#settings.absent?.find((each) => each.id === id);
  }

  #known(id: string): CheckedEntry {
    const absent = this.#absent(id);
    if (absent !== undefined) throw new MezError("PLUGIN_PACKAGE_REFUSED", `${absent.problem}; ${WAY_OUT}`);
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
