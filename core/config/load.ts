import { dirname, resolve } from "node:path";
import { MezError, messageOf } from "../errors/error.js";
import { parseLocatedYaml } from "../plugin/checked-yaml.js";
import type { ProcessRole } from "../plugin/contract.js";
import type { Manifest } from "../plugin/manifest.js";
import { Secret } from "../plugin/secret.js";
import { parseHostPort } from "../rpc/address.js";
import type { Config, PluginSetting } from "./config.js";
import { DEFAULT_CONFIG_FILE, readConfigFile } from "./config-file.js";
import { applyEnvironment, type ConfigSchema } from "./environment.js";
import { ENABLED_SWITCH, HOST_SECTIONS, pluginEntry } from "./schema.js";
import { readSecrets } from "./secret-reference.js";
import { type LaidValue, layOver, ValueOrigins } from "./value-origin.js";

type Environment = Readonly<Record<string, string | undefined>>;
type Tree = Record<string, unknown>;
type AuthSection = { readonly enabled: boolean; readonly listen_addr: string; readonly addresses?: readonly string[] };
type RootSchema = ConfigSchema & {
  readonly additionalProperties: false;
  readonly properties: Readonly<Record<string, ConfigSchema>>;
};

/**
 * Reads the configuration: defaults, then the file, then `MEZITE_…` variables. All of it is checked, plugins' parts by
 * their manifests, and an unknown key is refused with file and line.
 * @param file `null` for the default file, which may be absent.
 * @param laid Values of the command line; they win.
 * @param packages Ids of the manifests that come from packages.
 * @throws {MezError} `CONFIG_INVALID`, `INVALID_DOCUMENT`
 */
export async function loadConfig(
  file: string | null,
  manifests: readonly Manifest[],
  env: Environment,
  laid: readonly LaidValue[] = [],
  packages: ReadonlySet<string> = new Set(),
): Promise<Config> {
  const text = readConfigFile(file ?? DEFAULT_CONFIG_FILE, file === null);
  const driver = await chosenDriver(text, file ?? DEFAULT_CONFIG_FILE, env);
  const here = manifests.filter((manifest) => storageName(manifest) === null || storageName(manifest) === driver);
  if (!here.some((manifest) => storageName(manifest) === driver)) throw unknownDriver(driver, manifests);
  const schema = schemaFor(here, packages);
  const written =
    text === null
      ? null
      : await parseLocatedYaml<Tree>(text, { file: file ?? DEFAULT_CONFIG_FILE, schema, what: "configuration" });
  const tree = written?.value ?? {};
  const origins = new ValueOrigins();
  applyEnvironment(tree, schema, env, origins);
  layOver(tree, laid, origins);
  const named = new Set(Object.keys((tree.plugins ?? {}) as Tree));
  const checked = await fillDefaults(tree, schema, origins);
  checkAddresses(checked, (path, message) => {
    const origin = origins.of(path);
    if (origin === null && written !== null) return written.problem(path, message);
    return new MezError("CONFIG_INVALID", `${origin ?? "configuration"}: ${message}`);
  });
  return freeze(toConfig(checked, named, text === null ? null : (file ?? DEFAULT_CONFIG_FILE), here, driver, env));
}

// --- internal ---

function storageName(manifest: Manifest): string | null {
  return manifest.implements?.find(({ port }) => port === "storage-driver")?.name ?? null;
}

/** Which driver's schema the `database` section is checked against; read before anything else is. */
async function chosenDriver(text: string | null, file: string, env: Environment): Promise<string> {
  if (env.MEZITE_DATABASE_DRIVER !== undefined) return normalDriver(env.MEZITE_DATABASE_DRIVER);
  if (text === null) return "sqlite";
  const open = { type: "object", properties: { database: { type: "object", properties: { driver: { type: "string" } } } } };
  const { database } = await parseLocatedYaml<{ database?: { driver?: string } }>(text, {
    file,
    schema: open,
    what: "configuration",
  }).then(({ value }) => value);
  return normalDriver(database?.driver ?? "sqlite");
}

function normalDriver(name: string): string {
  return name === "postgres" ? "postgresql" : name;
}

function unknownDriver(driver: string, manifests: readonly Manifest[]): MezError {
  const known = manifests.map(storageName).filter((name) => name !== null);
  return new MezError("CONFIG_INVALID", `database.driver "${driver.slice(0, 40)}" is unknown; use one of ${known.join(", ")}`);
}

function schemaFor(manifests: readonly Manifest[], packages: ReadonlySet<string>): RootSchema {
  const properties: Tree = structuredClone(HOST_SECTIONS);
  const plugins: Tree = {};
  for (const manifest of manifests) {
    const config = structuredClone(manifest.config ?? { type: "object", additionalProperties: false, properties: {} }) as Tree & {
      properties?: Tree;
    };
    const switchable = manifest.runsIn?.some((role) => role === "proxy" || role === "node") === true;
    if (manifest.section === undefined) plugins[manifest.id] = pluginEntry(config, packages.has(manifest.id));
    else if (storageName(manifest) !== null)
      properties[manifest.section] = { ...config, properties: { driver: { type: "string" }, ...config.properties } };
    else
      properties[manifest.section] = switchable
        ? { ...config, properties: { enabled: ENABLED_SWITCH, ...config.properties } }
        : config;
  }
  // A package with a section of its own, or a storage driver that is not the chosen one.
  for (const id of packages) plugins[id] ??= pluginEntry({ type: "object" }, true);
  properties.plugins = { type: "object", additionalProperties: false, properties: plugins };
  return { type: "object", additionalProperties: false, properties: properties as RootSchema["properties"] };
}

/** A second pass: the environment may have added values, and absent sections get their defaults. */
async function fillDefaults(tree: Tree, schema: RootSchema, origins: ValueOrigins): Promise<Tree> {
  for (const [name, section] of Object.entries(schema.properties)) {
    if (section.type === "object") tree[name] ??= {};
  }
  const plugins = tree.plugins as Record<string, Tree | null>;
  for (const name of Object.keys(schema.properties.plugins?.properties ?? {})) {
    plugins[name] = { ...(plugins[name] ?? {}), config: plugins[name]?.config ?? {}, enabled: plugins[name]?.enabled };
    if (plugins[name].enabled === undefined) delete plugins[name].enabled;
  }
  const { value } = await parseLocatedYaml<Tree>(JSON.stringify(tree), {
    file: "configuration",
    schema,
    what: "configuration",
    origin: (path) => origins.of(path) ?? "configuration",
  });
  return value;
}

/** @param problem Makes the error about the value at a path. */
function checkAddresses(tree: Tree, problem: (path: readonly (string | number)[], message: string) => MezError): void {
  const { listen_addr, addresses = [] } = tree.auth as AuthSection;
  const written = [
    [listen_addr, ["auth", "listen_addr"]] as const,
    ...addresses.map((address, index) => [address, ["auth", "addresses", index]] as const),
  ];
  for (const [address, path] of written) {
    try {
      parseHostPort(address);
    } catch (error) {
      throw problem(path, messageOf(error));
    }
  }
}

function toConfig(
  tree: Tree,
  named: ReadonlySet<string>,
  file: string | null,
  manifests: readonly Manifest[],
  driver: string,
  env: Environment,
): Config {
  const auth = tree.auth as AuthSection;
  const log = tree.log as { level: Config["logLevel"]; format: Config["logFormat"] };
  const listed = tree.plugins as Record<string, { enabled?: boolean; config: Tree }>;
  const plugins = new Map<string, PluginSetting>();
  const roles = new Set<ProcessRole>(auth.enabled ? ["auth"] : []);
  for (const manifest of manifests) {
    const section = manifest.section === undefined ? undefined : (tree[manifest.section] as Tree);
    const { enabled, driver: _driver, ...own } = section ?? {};
    if (manifest.section === "proxy" && enabled !== false && auth.enabled) roles.add("proxy");
    if ((manifest.section === "proxy" || manifest.section === "node") && enabled === true) roles.add(manifest.section);
    const config = section === undefined ? (listed[manifest.id]?.config ?? {}) : own;
    readSecrets(config, manifest.secrets ?? [], manifest.section ?? `plugins.${manifest.id}.config`, env);
    plugins.set(manifest.id, { enabled: listed[manifest.id]?.enabled ?? (named.has(manifest.id) ? true : null), config });
  }
  const base = file === null ? process.cwd() : dirname(resolve(file));
  return {
    file,
    clusterName: tree.cluster_name as string,
    dataDirectory: resolve(base, tree.data_dir as string),
    logLevel: log.level,
    logFormat: log.format,
    roles,
    auth: { listenAddress: auth.listen_addr, addresses: auth.addresses ?? [localAddress(auth.listen_addr)] },
    databaseDriver: driver,
    plugins,
  };
}

/** The address under which this machine reaches what listens on `listenAddress`. */
function localAddress(listenAddress: string): string {
  const port = listenAddress.slice(listenAddress.lastIndexOf(":") + 1);
  const host = listenAddress.slice(0, listenAddress.lastIndexOf(":"));
  return host === "" || host === "0.0.0.0" || host === "[::]" ? `localhost:${port}` : `${host}:${port}`;
}

function freeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value) || value instanceof Secret) return value;
  Object.freeze(value);
  for (const child of Object.values(value)) freeze(child);
  if (value instanceof Map) for (const child of value.values()) freeze(child);
  return value;
}
