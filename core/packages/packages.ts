import { MezError } from "../errors/error.js";
import type { CatalogEntry } from "../host/catalog.js";
import { type AbsentPackage, type PackageLeniency, STRICT } from "../host/package-leniency.js";
import { outOfDecisions } from "../host/plugin-decisions.js";
import { keepsOut } from "../host/ports.js";
import { type IsolatedPackage, IsolatedPlugins } from "../isolation/isolated-plugin.js";
import type { Manifest } from "../plugin/manifest.js";
import type { PackageIdentity } from "../plugin/plugin-host.js";
import { PackageLoader } from "./package-loader.js";
import { portsAt, readManifestAt, readPackageManifest } from "./package-manifest.js";
import { locateInside, locatePackage, type PackageSource, parsePackageSource } from "./package-source.js";
import { hashOf, PackageStore, type StoredPackage } from "./package-store.js";

/** A package that is to become a plugin. */
export interface WantedPackage {
  readonly id: string;
  readonly from: string;
  readonly integrity: string;
  /** Default: as the manifest says. */
  readonly isolation?: "none" | "process";
  /** For a process of its own; default 256. */
  readonly memoryMib?: number;
  readonly addedBy: "config" | "command";
  /** Ids of the ports that it filled when it was decided on; absent when nobody noted them. */
  readonly ports?: readonly string[];
  /** Whether it was switched off. */
  readonly isOff?: boolean;
}

/** Brings plugins from outside into a process: finds, copies, checks, and imports them from the copy. */
export class Packages {
  readonly #store: PackageStore;
  readonly #loader: PackageLoader;
  readonly #isolated = new IsolatedPlugins();
  readonly #opened = new WeakMap<CatalogEntry, StoredPackage>();

  /**
   * @param folder Absolute path of the store.
   * @param builtin Ids of the plugins of the build.
   */
  constructor(
    folder: string,
    private readonly builtin: ReadonlySet<string>,
  ) {
    this.#store = new PackageStore(folder);
    this.#loader = new PackageLoader(this.#store);
  }

  /**
   * Copies and checks packages, and reads their manifests; imports nothing.
   * @param base Folder in which packages are looked for.
   * @returns Entries for a catalog, in the order given.
   * @throws {MezError} `PLUGIN_PACKAGE_REFUSED`, `PLUGIN_INTEGRITY_FAILED`, `PLUGIN_MANIFEST_INVALID`, each naming the plugin
   */
  async open(wanted: readonly WantedPackage[], base: string): Promise<readonly CatalogEntry[]> {
    return (await this.openWith(STRICT, wanted, base)).entries;
  }

  /**
   * The same, but some that a command added may have been replaced: they are taken from their copies, whose hash is checked as
   * well, or left out.
   * @throws {MezError} as `open`, for all others, and for one that is on and keeps people out, as was noted or as what lies there says
   */
  async openWith(leniency: PackageLeniency, wanted: readonly WantedPackage[], base: string): Promise<OpenedPackages> {
    const entries: CatalogEntry[] = [];
    const absent: AbsentPackage[] = [];
    for (const each of wanted) {
      try {
        entries.push(await this.#open(each, base, leniency));
      } catch (error) {
        const { id, from, integrity, addedBy } = each;
        if (addedBy === "config" || !leniency.without(id) || !(error instanceof MezError)) throw error;
        if (await this.#keepsOut(each, base)) throw withWayOut(error, id);
        absent.push({ id, from, integrity, problem: error.message });
      }
    }
    return { entries, absent };
  }

  /**
   * Tells what a package is, where it lies; nothing is copied or run.
   * @throws {MezError} `INVALID_ARGUMENT`, `PLUGIN_PACKAGE_REFUSED`, `PLUGIN_MANIFEST_INVALID`
   */
  async identify(from: string, base: string): Promise<PackageIdentity> {
    const place = locateInside(parsePackageSource(from), base);
    const manifest = await readManifestAt(place);
    if (this.builtin.has(manifest.id))
      throw new MezError("ALREADY_EXISTS", `plugin "${manifest.id}" is part of this build; a package cannot take its id`);
    return { ...manifest, integrity: `sha256-${await hashOf(place)}` };
  }

  /** The integrity of a package as it lies there. @throws {MezError} `INVALID_ARGUMENT`, `PLUGIN_PACKAGE_REFUSED` */
  async integrityOf(from: string, base: string): Promise<string> {
    return `sha256-${await hashOf(locatePackage(parsePackageSource(from), base))}`;
  }

  /** Lets go of the code of plugins that are not among `entries`; what still runs of them goes on. */
  release(entries: readonly CatalogEntry[]): void {
    this.#loader.keepOnly(new Set(this.#storedOf(entries).map(({ id }) => id)));
  }

  /** Deletes copies that are not of `entries`; for a process in which nothing else runs. */
  prune(entries: readonly CatalogEntry[]): Promise<void> {
    return this.#store.prune(this.#storedOf(entries));
  }

  #storedOf(entries: readonly CatalogEntry[]): readonly StoredPackage[] {
    return entries.flatMap((entry) => this.#opened.get(entry) ?? []);
  }

  async #open(wanted: WantedPackage, base: string, leniency: PackageLeniency): Promise<CatalogEntry> {
    const { id, from, integrity, addedBy, memoryMib = DEFAULT_MEMORY_MIB } = wanted;
    if (this.builtin.has(id))
      throw new MezError("PLUGIN_PACKAGE_REFUSED", `plugin "${id}" is part of this build; a package cannot take its id`);
    const source = parsePackageSource(from);
    const { stored, problem } = await this.#takeOrKeep(wanted, source, base, leniency);
    const manifest = (await readPackageManifest(stored, source)) as Manifest;
    const isolation = wanted.isolation ?? (manifest.isolation === "process" ? "process" : "none");
    const entry: CatalogEntry = {
      manifest,
      package: { from, integrity, isolation, memoryMib, addedBy, problem },
      ...(isolation === "process"
        ? this.#apart({ stored, store: this.#store.folder, manifest, memoryMib })
        : this.#together(stored, manifest.entries?.service)),
      ...this.#commands(stored, manifest.entries?.commands),
    };
    this.#opened.set(entry, stored);
    return entry;
  }

  #together(stored: StoredPackage, service: string | undefined): Partial<CatalogEntry> {
    if (service === undefined) return {};
    return { service: async (afresh = false) => ({ default: await this.#loader.load(stored, service, afresh) }) };
  }

  /** For programs of people; a daemon imports none. */
  #commands(stored: StoredPackage, commands: string | undefined): Partial<CatalogEntry> {
    if (commands === undefined) return {};
    return { commands: async () => ({ default: await this.#loader.loadCommands(stored, commands) }) };
  }

  #apart(isolated: IsolatedPackage): Partial<CatalogEntry> {
    return {
      service: async () => ({ default: this.#isolated.standIn(isolated) }),
      health: () => this.#isolated.healthOf(isolated.stored.id),
      verify: (roles, config) => this.#isolated.verify(isolated, roles, config),
    };
  }

  /** What is there comes before its copy, which can be only what was there. */
  async #takeOrKeep(
    { id, integrity, addedBy }: WantedPackage,
    source: PackageSource,
    base: string,
    leniency: PackageLeniency,
  ): Promise<{ readonly stored: StoredPackage; readonly problem?: string }> {
    try {
      return { stored: await this.#take(id, source, integrity, base, addedBy) };
    } catch (error) {
      const isLenient = addedBy === "command" && leniency.fromCopy(id) && error instanceof MezError;
      const stored = isLenient ? await this.#store.kept(id, integrity) : null;
      if (stored === null) throw error;
      return { stored, problem: (error as MezError).message };
    }
  }

  /** Whether more would be let in without it. Nothing of what lies there is run. */
  async #keepsOut({ from, ports = [], isOff = false }: WantedPackage, base: string): Promise<boolean> {
    if (isOff) return false;
    const portsThere = await Promise.resolve()
      .then(() => portsAt(locateInside(parsePackageSource(from), base)))
      .catch(() => []);
    return keepsOut([...ports, ...portsThere]);
  }

  async #take(id: string, source: PackageSource, integrity: string, base: string, addedBy: string): Promise<StoredPackage> {
    try {
      const place = addedBy === "command" ? locateInside(source, base) : locatePackage(source, base);
      return await this.#store.take(id, place, integrity);
    } catch (error) {
      if (!(error instanceof MezError)) throw error;
      throw new MezError(error.code, `plugin "${id}": ${error.message}`, { cause: error.cause });
    }
  }
}

/** What became of packages that were wanted. */
export interface OpenedPackages {
  /** Of those that are there, in the order given. */
  readonly entries: readonly CatalogEntry[];
  readonly absent: readonly AbsentPackage[];
}

// --- internal ---

function withWayOut(error: MezError, id: string): MezError {
  const message = `${error.message}; without it more people would be let in: put the package back, or ${outOfDecisions(id)}`;
  return new MezError(error.code, message, { cause: error.cause });
}

const DEFAULT_MEMORY_MIB = 256;
