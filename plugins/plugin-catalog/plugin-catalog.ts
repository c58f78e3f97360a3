import type { AuditAuthor } from "../../core/plugin/audit-author.js";
import type {
  PackageIdentity,
  PackageToAdd,
  PluginHost,
  PluginStatus,
  Recorded,
  ReloadResult,
  ServerStatus,
} from "../../core/plugin/plugin-host.js";
import { describePlugin, digestOf, type PluginDescription } from "./plugin-description.js";

/** A package, and what taking it changed; `null` when it was only looked at. */
export interface PinnedPlugin {
  readonly identity: PackageIdentity;
  readonly change: ReloadResult | null;
}

/** The use cases of plugins in the running server. Each is in the audit log when it holds, and only then. */
export class PluginCatalog {
  constructor(private readonly host: PluginHost) {}

  /** By id. */
  list(): readonly PluginStatus[] {
    return [...this.host.list()].sort((left, right) => (left.manifest.id < right.manifest.id ? -1 : 1));
  }

  /** How the auth servers follow, this one first; empty where there can be no other. */
  servers(): Promise<readonly ServerStatus[]> {
    return this.host.servers();
  }

  /** What the plugins add that are on. */
  describe(): { readonly plugins: readonly PluginDescription[]; readonly digest: string } {
    const plugins = this.list().flatMap(({ manifest, state, descriptors }) =>
      state === "on" ? [describePlugin(manifest, descriptors)] : [],
    );
    return { plugins, digest: digestOf(plugins) };
  }

  /** @throws {MezError} as `PluginHost.enable` */
  enable(id: string, author: AuditAuthor): Promise<ReloadResult> {
    return this.host.enable(id, audited("plugin.enabled", id, author));
  }

  /** @throws {MezError} as `PluginHost.disable` */
  disable(id: string, author: AuditAuthor): Promise<ReloadResult> {
    return this.host.disable(id, audited("plugin.disabled", id, author));
  }

  /** @param id `null` for whatever changed in the config files. */
  reload(id: string | null, author: AuditAuthor): Promise<ReloadResult> {
    return this.host.reload(id ?? undefined, audited("plugin.reloaded", id ?? "", author));
  }

  /** @throws {MezError} as `PluginHost.add` */
  async add(wanted: PackageToAdd, author: AuditAuthor): Promise<PinnedPlugin> {
    const { change, ...identity } = await this.host.add(wanted, (tx, done, found) =>
      audited("plugin.added", found.id, author, { ...metadataOf(found), from: wanted.from })(tx, done),
    );
    return { identity, change };
  }

  /**
   * @param target A source is only looked at, and changes nothing; an id is a plugin that was added.
   * @throws {MezError} as `PluginHost.identify` and `PluginHost.pin`
   */
  async pin(target: string, author: AuditAuthor): Promise<PinnedPlugin> {
    if (target.includes(":")) return { identity: await this.host.identify(target), change: null };
    const { change, ...identity } = await this.host.pin(target, (tx, done, found) =>
      audited("plugin.pinned", target, author, metadataOf(found))(tx, done),
    );
    return { identity, change };
  }

  /** @throws {MezError} as `PluginHost.remove` */
  remove(id: string, author: AuditAuthor): Promise<ReloadResult> {
    return this.host.remove(id, audited("plugin.removed", id, author));
  }
}

// --- internal ---

function metadataOf({ id, version, integrity }: PackageIdentity): Readonly<Record<string, string>> {
  return { id, version, integrity };
}

function audited(
  type: `plugin.${"enabled" | "disabled" | "reloaded" | "added" | "pinned" | "removed"}`,
  id: string,
  author: AuditAuthor,
  more: Readonly<Record<string, string>> = {},
): Recorded {
  return (tx, { generation, started, replaced, stopped }) =>
    tx.audit({
      ...author,
      type,
      resourceType: "plugin",
      resourceName: id,
      metadata: { ...more, generation, started, replaced, stopped },
    });
}
