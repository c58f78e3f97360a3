import { createHash } from "node:crypto";
import type { Config } from "../config/config.js";
import { isMezError, MezError, messageOf } from "../errors/error.js";
import { PLUGIN_API_VERSION, type Plugin, type ProcessRole } from "../plugin/contract.js";
import { rolesHere } from "../plugin/manifest.js";
import { Secret } from "../plugin/secret.js";
import { OWN_ROUTES } from "../web/own-routes.js";
import { routeName, routeShape } from "../web/route-table.js";
import type { Catalog, CheckedEntry } from "./catalog.js";
import { collectDeclarations, type Declarations } from "./declarations.js";
import { orderPlugins } from "./graph.js";
import { PORT_CARDINALITIES } from "./ports.js";
import { type Decision, type Overrides, selectPlugins } from "./selection.js";

/** A plugin that is to run, with what its `register` said: imported and declared, nothing built. */
export interface AssembledPlugin {
  readonly entry: CheckedEntry;
  readonly digest: string;
  readonly roles: ReadonlySet<ProcessRole>;
  readonly requires: readonly string[];
  readonly declarations: Declarations;
}

export interface Assembly {
  /** In start order. */
  readonly plugins: readonly AssembledPlugin[];
  readonly decisions: ReadonlyMap<string, Decision>;
}

/**
 * Selects the plugins of a process, orders them, imports them and calls every `register`. Opens nothing: this is what
 * `mezd config check` does as well.
 * @param afresh Ids of plugins whose code is evaluated again, if that can be done.
 * @throws {MezError} `PLUGIN_GRAPH_INVALID`, `PLUGIN_REGISTER_FAILED`, `PLUGIN_MANIFEST_MISMATCH`
 */
export async function assemble(
  catalog: Catalog,
  config: Config,
  overrides: Overrides,
  roles: ReadonlySet<ProcessRole>,
  afresh: ReadonlySet<string> = new Set(),
): Promise<Assembly> {
  const decisions = selectPlugins(catalog, config, overrides, roles);
  const entries = [...catalog.values()].filter(
    ({ manifest, service }) => decisions.get(manifest.id)?.on === true && service !== undefined,
  );
  const graph = orderPlugins(
    entries.map(({ manifest }) => manifest),
    roles,
    PORT_CARDINALITIES,
  );
  const plugins: AssembledPlugin[] = [];
  for (const id of graph.order) {
    const entry = catalog.get(id) as CheckedEntry;
    const here = rolesHere(entry.manifest, roles);
    const settings = config.plugins.get(id)?.config ?? {};
    const plugin = await importPlugin(entry, afresh.has(id));
    plugins.push({
      entry,
      digest: digestOf(entry, settings),
      roles: here,
      requires: graph.requires.get(id) ?? [],
      declarations: collectDeclarations(plugin, entry.manifest, here, settings),
    });
  }
  refuseSharedRoutes(plugins);
  return { plugins, decisions };
}

// --- internal ---

function refuseSharedRoutes(plugins: readonly AssembledPlugin[]): void {
  const owners = new Map(OWN_ROUTES.map((route) => [routeShape(route), "the server itself"]));
  for (const { entry, declarations } of plugins) {
    for (const route of declarations.web.flatMap(({ routes }) => Object.values(routes))) {
      const owner = owners.get(routeShape(route));
      const own = `plugin "${entry.manifest.id}"`;
      if (owner !== undefined) throw new MezError("PLUGIN_GRAPH_INVALID", `${owner} and ${own} both serve ${routeName(route)}`);
      owners.set(routeShape(route), own);
    }
  }
}

async function importPlugin(entry: CheckedEntry, afresh: boolean): Promise<Plugin<never>> {
  try {
    return (await (entry.service as NonNullable<CheckedEntry["service"]>)(afresh)).default;
  } catch (cause) {
    if (isMezError(cause, "PLUGIN_NEEDS_RESTART")) throw cause;
    throw new MezError("PLUGIN_REGISTER_FAILED", `importing plugin "${entry.manifest.id}": ${messageOf(cause)}`, { cause });
  }
}

function digestOf({ manifest, package: origin }: CheckedEntry, settings: unknown): string {
  const code = [manifest.id, manifest.version, PLUGIN_API_VERSION, origin?.integrity, origin?.isolation, origin?.memoryMib];
  const text = JSON.stringify([code, settings], (_key, value: unknown) => (value instanceof Secret ? value.expose() : value));
  return createHash("sha256").update(text).digest("hex");
}
