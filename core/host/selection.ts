import type { Config } from "../config/config.js";
import { MezError } from "../errors/error.js";
import type { ProcessRole } from "../plugin/contract.js";
import { type Manifest, rolesHere } from "../plugin/manifest.js";
import type { PluginStatus } from "../plugin/plugin-host.js";
import type { Catalog } from "./catalog.js";
import { PORT_CARDINALITIES } from "./ports.js";

export interface Decision {
  readonly on: boolean;
  readonly decidedBy: PluginStatus["decidedBy"];
}

/** What `mezctl plugins enable | disable` said, by id; it wins over the config file. */
export type Overrides = ReadonlyMap<string, boolean>;

/**
 * Decides which plugins run in a process with `roles`: essential ones always, the storage driver that the config names,
 * then what a command said, then the config file, then the built-in default. A default gives way to a plugin that was
 * asked for and fills the same exactly-one port.
 * @throws {MezError} `CONFIG_INVALID` when the file switches off what every cluster needs.
 */
export function selectPlugins(
  catalog: Catalog,
  config: Config,
  overrides: Overrides,
  roles: ReadonlySet<ProcessRole>,
): ReadonlyMap<string, Decision> {
  const decisions = new Map<string, Decision>();
  for (const { manifest, onByDefault } of catalog.values()) {
    if (rolesHere(manifest, roles).size > 0)
      decisions.set(manifest.id, decide(manifest, onByDefault === true, config, overrides));
  }
  const asked = new Set<string>();
  for (const [id, { on, decidedBy }] of decisions) {
    if (on && decidedBy !== "default") for (const port of solePorts(catalog, id)) asked.add(port);
  }
  for (const [id, { on, decidedBy }] of decisions) {
    if (on && decidedBy === "default" && solePorts(catalog, id).some((port) => asked.has(port)))
      decisions.set(id, { on: false, decidedBy });
  }
  return decisions;
}

/** Why no command switches a plugin, as `plugin "users" …`; `null` when one may. */
export function whyFixed({ id, essential = false, implements: filled = [] }: Manifest): string | null {
  if (essential) return `plugin "${id}" is part of every cluster and is always on`;
  if (!filled.some(isDriver)) return null;
  return `plugin "${id}" is on when the config file says so: it goes with database.driver`;
}

// --- internal ---

function isDriver({ port }: { readonly port: string }): boolean {
  return port === "storage-driver";
}

function decide(manifest: Manifest, onByDefault: boolean, config: Config, overrides: Overrides): Decision {
  const driver = manifest.implements?.find(isDriver);
  if (driver !== undefined) return { on: driver.name === config.databaseDriver, decidedBy: "config" };
  const { enabled: setting = null } = config.plugins.get(manifest.id) ?? {};
  if (manifest.essential === true) {
    if (setting === false)
      throw new MezError(
        "CONFIG_INVALID",
        `plugin "${manifest.id}" is part of every cluster; remove plugins.${manifest.id}.enabled`,
      );
    return { on: true, decidedBy: "essential" };
  }
  const said = overrides.get(manifest.id);
  if (said !== undefined) return { on: said, decidedBy: "command" };
  if (setting !== null) return { on: setting, decidedBy: "config" };
  return { on: onByDefault, decidedBy: "default" };
}

function solePorts(catalog: Catalog, id: string): readonly string[] {
  const ports = catalog.get(id)?.manifest.implements?.map(({ port }) => port) ?? [];
  return ports.filter((port) => PORT_CARDINALITIES.get(port) === "exactly-one");
}
