import type { AuditAuthor } from "../../core/plugin/audit-author.js";
import type { Database } from "../../core/plugin/database.js";
import type { PluginHost, PluginStatus, ReloadResult } from "../../core/plugin/plugin-host.js";
import { describePlugin, digestOf, type PluginDescription } from "./plugin-description.js";

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

  async #audit(
    type: "plugin.enabled" | "plugin.disabled" | "plugin.reloaded",
    id: string,
    author: AuditAuthor,
    change: ReloadResult,
  ): Promise<void> {
    const { generation, started, replaced, stopped } = change;
    await this.database.transaction(async (tx) =>
      tx.audit({
        ...author,
        type,
        resourceType: "plugin",
        resourceName: id,
        metadata: { generation, started, replaced, stopped },
      }),
    );
  }
}
