import { MezError } from "../../core/errors/error.js";
import { authorOf } from "../../core/plugin/audit-author.js";
import type { DescribedCommand, ServiceReference } from "../../core/plugin/manifest.js";
import type { PackageIdentity, PackageToAdd, PluginStatus, ReloadResult } from "../../core/plugin/plugin-host.js";
import type { RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import {
  type AddPluginRequest,
  PluginCatalogServiceService,
  type PluginChange,
  type Plugin as PluginMessage,
  type DescribedCommand as WireCommand,
  type PluginDescription as WireDescription,
  type PackageIdentity as WireIdentity,
} from "../../proto/gen/mezite/plugin_catalog/v1/plugin_catalog.js";
import type { PluginCatalog } from "./plugin-catalog.js";
import { describePlugin, type PluginDescription } from "./plugin-description.js";

export const PLUGIN_CATALOG_RPC: RpcService<typeof PluginCatalogServiceService> = {
  name: "mezite.plugin_catalog.v1.PluginCatalogService",
  definition: PluginCatalogServiceService,
  permissions: {
    listPlugins: "plugin:list",
    describePlugins: "plugin:use",
    enablePlugin: "plugin:update",
    disablePlugin: "plugin:update",
    reloadPlugins: "plugin:update",
    addPlugin: "plugin:update",
    pinPlugin: "plugin:update",
    removePlugin: "plugin:update",
  },
};

/** Answers the calls that list and switch plugins. */
export function pluginCatalogHandlers(catalog: PluginCatalog): RpcHandlers<typeof PluginCatalogServiceService> {
  return {
    async listPlugins() {
      const servers = (await catalog.servers()).map((each) => ({ ...each }));
      return { plugins: catalog.list().map(toMessage), servers };
    },
    async describePlugins({ knownDigest }) {
      const { plugins, digest } = catalog.describe();
      return { plugins: knownDigest === digest ? [] : plugins.map(toWire), digest };
    },
    async enablePlugin({ id }, call) {
      return { change: toChange(await catalog.enable(id, authorOf(call))) };
    },
    async disablePlugin({ id }, call) {
      return { change: toChange(await catalog.disable(id, authorOf(call))) };
    },
    async reloadPlugins({ id }, call) {
      return { change: toChange(await catalog.reload(id === "" ? null : id, authorOf(call))) };
    },
    async addPlugin(request, call) {
      const { identity, change } = await catalog.add(toPackage(request), authorOf(call));
      return { package: toIdentity(identity), change: change === null ? undefined : toChange(change) };
    },
    async pinPlugin({ target }, call) {
      const { identity, change } = await catalog.pin(target, authorOf(call));
      return { package: toIdentity(identity), change: change === null ? undefined : toChange(change) };
    },
    async removePlugin({ id }, call) {
      return { change: toChange(await catalog.remove(id, authorOf(call))) };
    },
  };
}

// --- internal ---

function toIdentity({ id, version, integrity }: PackageIdentity): WireIdentity {
  return { id, version, integrity };
}

function toPackage({ from, integrity, isolation, memoryMib, config }: AddPluginRequest): PackageToAdd {
  if (isolation !== "" && isolation !== "none" && isolation !== "process")
    throw new MezError("INVALID_ARGUMENT", `isolation is "${isolation.slice(0, 40)}"; use none or process`);
  if (integrity !== "" && !/^sha256-[0-9a-f]{64}$/.test(integrity))
    throw new MezError("INVALID_ARGUMENT", `integrity "${integrity.slice(0, 80)}" is not sha256- and 64 hexadecimal digits`);
  if (memoryMib !== 0 && (memoryMib < 64 || memoryMib > 65_536))
    throw new MezError("INVALID_ARGUMENT", `memory of ${memoryMib} MiB; 64 to 65536 can be given`);
  return {
    from,
    ...(integrity === "" ? {} : { integrity }),
    ...(isolation === "" ? {} : { isolation }),
    ...(memoryMib === 0 ? {} : { memoryMib }),
    ...(config === "" ? {} : { config: parseConfig(config) }),
  };
}

function parseConfig(text: string): Record<string, unknown> {
  try {
    const config: unknown = JSON.parse(text);
    if (typeof config === "object" && config !== null && !Array.isArray(config)) return config as Record<string, unknown>;
  } catch {
    // Refused below.
  }
  throw new MezError("INVALID_ARGUMENT", "the config of the plugin is no JSON object");
}

function toPackageMessage({ package: origin, health }: PluginStatus): Pick<PluginMessage, "package" | "health"> {
  return {
    package: origin === null ? undefined : { ...origin, problem: origin.problem ?? "" },
    health:
      health === undefined || health === null
        ? undefined
        : {
            state: health.state,
            restarts: health.restarts,
            memoryBytes: health.memoryBytes ?? 0,
            lastFailure: health.lastFailure ?? "",
          },
  };
}

function toMessage(status: PluginStatus): PluginMessage {
  const { manifest, state, decidedBy, leases, starts } = status;
  const { id, version, summary, runsIn, provides, requires, reach, contributes } = manifest;
  return {
    ...{ id, version, summary, state, decidedBy, leases, starts },
    runsIn: [...(runsIn ?? [])],
    provides: (provides ?? []).map(nameOf),
    requires: (requires ?? []).map((needed) => `${nameOf(needed)}${needed.optional === true ? " (optional)" : ""}`),
    implements: (manifest.implements ?? []).map(({ port, name }) => `${port}/${name}`),
    reach: [...(reach ?? [])],
    tables: [...(contributes?.tables ?? [])],
    collections: [...(contributes?.collections ?? [])],
    auditEvents: [...(contributes?.auditEvents ?? [])],
    contributes: toWire(describePlugin(manifest)),
    ...toPackageMessage(status),
  };
}

function nameOf({ service, version }: ServiceReference): string {
  return `${service}@${version}`;
}

function toWire({ id, version, commands, rpc, permissions, descriptors }: PluginDescription): WireDescription {
  return {
    ...{ id, version },
    commands: commands.map(({ binary, name, summary, commands: described = [] }) => {
      return { ...{ binary, name, summary }, commands: described.map(describedToWire) };
    }),
    descriptors: descriptors.map((each) => Buffer.from(each)),
    rpc: [...rpc],
    permissions: permissions.map(({ permission, grantedTo }) => ({ permission, grantedTo: [...grantedTo] })),
  };
}

function describedToWire({ name, summary, rpc, arguments: given = [], output }: DescribedCommand): WireCommand {
  return {
    ...{ name, summary, rpc },
    arguments: given.map(({ positional = false, required = false, choices = [], ...rest }) => {
      return { ...rest, positional, required, choices: [...choices] };
    }),
    output: output && {
      rows: output.rows ?? "",
      record: output.record ?? "",
      columns: output.columns.map((each) => ({ ...each })),
    },
  };
}

function toChange({ generation, started, replaced, stopped }: ReloadResult): PluginChange {
  return { generation, started: [...started], replaced: [...replaced], stopped: [...stopped] };
}
