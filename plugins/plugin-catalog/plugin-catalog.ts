import type { AuditAuthor } from "../../core/plugin/audit-author.js";
import type { Database } from "../../core/plugin/database.js";
import type { PackageIdentity, PackageToAdd, PluginHost, PluginStatus, ReloadResult } from "../../core/plugin/plugin-host.js";
import { describePlugin, digestOf, type PluginDescription } from "./plugin-description.js";

/** A package, and what taking it changed; `null` when it was only looked at. */
export interface PinnedPlugin {
  readonly identity: PackageIdentity;
  readonly change: ReloadResult | null;
}

/**
 * The use cases of plugins in the running server. The log is written after the change: a plugin that is switched on may
 * bring tables of its own, and the host cannot make them inside a transaction.
 */
export class PluginCatalog {
  constructor(
    private readonly host: PluginHost,
    private readonly database: Database,
  ) {}

  /** By id. */
  list(): readonly PluginStatus[] {
    return [...this.host.list()].sort((left, right) => (left.manifest.id < right.manifest.id ? -1 : 1));
  }

  /** What the plugins add that are on. */
  describe(): { readonly plugins: readonly PluginDescription[]; readonly digest: string } {
    const plugins = this.list().flatMap(({ manifest, state, descriptors }) =>
      state === "on" ? [describePlugin(manifest, descriptors)] : [],
    );
    return { plugins, digest: digestOf(plugins) };
  }

  /** @throws {MezError} as `PluginHost.enable` */
  async enable(id: string, author: AuditAuthor): Promise<ReloadResult> {
    const change = await this.host.enable(id);
    await this.#audit("plugin.enabled", id, author, change);
    return change;
  }

  /** @throws {MezError} as `PluginHost.disable` */
  async disable(id: string, author: AuditAuthor): Promise<ReloadResult> {
    const change = await this.host.disable(id);
    await this.#audit("plugin.disabled", id, author, change);
    return change;
  }

  /** @param id `null` for whatever changed in the config file. */
  async reload(id: string | null, author: AuditAuthor): Promise<ReloadResult> {
    const change = await (id === null ? this.host.reload() : this.host.reload(id));
    await this.#audit("plugin.reloaded", id ?? "", author, change);
    return change;
  }

  /** @throws {MezError} as `PluginHost.add` */
  async add(wanted: PackageToAdd, author: AuditAuthor): Promise<PinnedPlugin> {
    const { change, ...identity } = await this.host.add(wanted);
    await this.#audit("plugin.added", identity.id, author, change, { ...identity, from: wanted.from });
    return { identity, change };
  }

  /**
   * @param target A source is only looked at, and changes nothing; an id is a plugin that was added.
   * @throws {MezError} as `PluginHost.identify` and `PluginHost.pin`
   */
  async pin(target: string, author: AuditAuthor): Promise<PinnedPlugin> {
    if (target.includes(":")) return { identity: await this.host.identify(target), change: null };
    const { change, ...identity } = await this.host.pin(target);
    await this.#audit("plugin.pinned", target, author, change, { ...identity });
    return { identity, change };
  }

  /** @throws {MezError} as `PluginHost.remove` */
  async remove(id: string, author: AuditAuthor): Promise<ReloadResult> {
    const change = await this.host.remove(id);
    await this.#audit("plugin.removed", id, author, change);
    return change;
  }

  async #audit(
    type: `plugin.${"enabled" | "disabled" | "reloaded" | "added" | "pinned" | "removed"}`,
    id: string,
    author: AuditAuthor,
    change: ReloadResult,
    more: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const { generation, started, replaced, stopped } = change;
    await this.database.transaction(async (tx) =>
      tx.audit({
        ...author,
        type,
        resourceType: "plugin",
        resourceName: id,
        metadata: { ...more, generation, started, replaced, stopped },
      }),
    );
  }
}
