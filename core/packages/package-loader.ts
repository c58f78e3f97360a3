import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { MezError } from "../errors/error.js";
import type { Commands } from "../plugin/commands.js";
import type { Plugin } from "../plugin/contract.js";
import { exportedCommands, exportedPlugin } from "./exported-plugin.js";
import { moduleFormat } from "./module-format.js";
import { confineImports } from "./package-imports.js";
import type { PackageStore, StoredPackage } from "./package-store.js";
import { withoutLeftoverTimers } from "./package-timers.js";
import { isInside } from "./package-tree.js";

/** How many versions of a plugin made of ES modules one process loads: Node never frees one. */
export const MAX_MODULE_LOADS = 10;

/** Imports the code of packages into this process. */
export class PackageLoader {
  /** The code that was loaded last, by plugin; CommonJS that is in no such place is garbage. */
  readonly #loaded = new Map<string, { readonly folder: string; readonly plugin: Plugin<never> }>();
  readonly #moduleLoads = new Map<string, Set<string>>();

  constructor(private readonly store: PackageStore) {}

  /**
   * The plugin that a package's entry exports by default. Imported when it is not in memory yet.
   * @param entry As in the manifest: `./plugin.js`.
   * @param afresh Evaluates CommonJS again also when it is in memory. ES modules are evaluated once for each version.
   * @throws {MezError} `PLUGIN_REGISTER_FAILED`; `PLUGIN_NEEDS_RESTART` when ES modules were loaded too often
   */
  async load(stored: StoredPackage, entry: string, afresh: boolean): Promise<Plugin<never>> {
    const known = this.#loaded.get(stored.id);
    const file = join(stored.folder, entry);
    const isCommonJs = moduleFormat(file, stored.folder) === "commonjs";
    if (known?.folder === stored.folder && !(afresh && isCommonJs)) return known.plugin;
    confineImports(this.store.folder);
    try {
      const exported = exportedPlugin(isCommonJs ? this.#require(stored, file) : await this.#import(stored, file));
      if (exported === null)
        throw new MezError("PLUGIN_REGISTER_FAILED", `${entry} of plugin "${stored.id}" has no plugin as default export`);
      const plugin = withoutLeftoverTimers(exported, stored.folder);
      this.#loaded.set(stored.id, { folder: stored.folder, plugin });
      return plugin;
    } finally {
      this.#forgetUnused();
    }
  }

  /**
   * The commands that a package's entry exports by default; for a program that runs one command and ends.
   * @throws {MezError} `PLUGIN_PACKAGE_REFUSED`
   */
  async loadCommands(stored: StoredPackage, entry: string): Promise<Commands> {
    const file = join(stored.folder, entry);
    confineImports(this.store.folder);
    const isCommonJs = moduleFormat(file, stored.folder) === "commonjs";
    const commands = exportedCommands(isCommonJs ? createRequire(file)(file) : await import(pathToFileURL(file).href));
    if (commands !== null) return commands;
    throw new MezError("PLUGIN_PACKAGE_REFUSED", `${entry} of plugin "${stored.id}" has no commands as default export`);
  }

  /** Lets go of the code of plugins that are not there any more. */
  keepOnly(ids: ReadonlySet<string>): void {
    for (const id of this.#loaded.keys()) if (!ids.has(id)) this.#loaded.delete(id);
    this.#forgetUnused();
  }

  /** A module that `require` still knows is never freed, so none of an older evaluation stays. */
  #require({ folder }: StoredPackage, file: string): unknown {
    const load = createRequire(file);
    for (const path of Object.keys(load.cache)) if (isInside(folder, path)) delete load.cache[path];
    return load(file);
  }

  #forgetUnused(): void {
    const inUse = [...this.#loaded.values()].map(({ folder }) => folder);
    const { cache } = createRequire(join(this.store.folder, "x"));
    for (const path of Object.keys(cache)) {
      if (isInside(this.store.folder, path) && !inUse.some((folder) => isInside(folder, path))) delete cache[path];
    }
  }

  async #import({ id, sha256 }: StoredPackage, file: string): Promise<unknown> {
    const loads = this.#moduleLoads.get(id) ?? new Set();
    if (!loads.has(sha256) && loads.size >= MAX_MODULE_LOADS)
      throw new MezError(
        "PLUGIN_NEEDS_RESTART",
        `plugin "${id}" is made of ES modules, which Node never frees, and ${loads.size} versions of it are in memory; restart mezd, or have it built as one CommonJS file or isolated`,
      );
    this.#moduleLoads.set(id, loads.add(sha256));
    return import(pathToFileURL(file).href);
  }
}
