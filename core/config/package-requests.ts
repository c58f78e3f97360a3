import { dirname, resolve } from "node:path";
import type { MezError } from "../errors/error.js";
import { type LocatedYaml, parseLocatedYaml } from "../plugin/checked-yaml.js";
import { DEFAULT_CONFIG_FILE, readConfigFile } from "./config-file.js";
import { applyEnvironment, type ConfigSchema } from "./environment.js";
import { HOST_SECTIONS, PACKAGE_KEYS } from "./schema.js";
import { type LaidValue, layOver, ValueOrigins } from "./value-origin.js";

/** A plugin that the config file takes from a package. */
export interface PackageRequest {
  readonly id: string;
  readonly from: string;
  /** `null` when the file does not say: then the package cannot be used. */
  readonly integrity: string | null;
  readonly isolation?: "none" | "process";
  readonly memoryMib?: number;
  /** An error about the plugin's entry in the file, with file and line in front. */
  problem(message: string): MezError;
}

/** What has to be known of the configuration before the plugins are known that the rest is checked with. */
export interface PackageSettings {
  /** Absolute path. */
  readonly dataDirectory: string;
  /** Absolute path of the folder that packages are looked for in. */
  readonly pluginsDirectory: string;
  readonly requests: readonly PackageRequest[];
  /** Ids of all plugins that the file says something of. */
  readonly named: ReadonlySet<string>;
  /** Ids of plugins whose config the file holds. */
  readonly configured: ReadonlySet<string>;
}

/**
 * Reads from the config file which packages it names. Everything else of the file is left to `loadConfig`.
 * @throws {MezError} `CONFIG_INVALID`, `INVALID_DOCUMENT`
 */
export async function readPackageSettings(
  file: string | null,
  env: Readonly<Record<string, string | undefined>>,
  laid: readonly LaidValue[] = [],
): Promise<PackageSettings> {
  const name = file ?? DEFAULT_CONFIG_FILE;
  const text = readConfigFile(name, file === null);
  const open = text === null ? null : await parse(text, name, []);
  const packages = entriesOf(open?.value).flatMap(([id, entry]) => (isObject(entry) && "from" in entry ? [id] : []));
  const written = text === null ? null : await parse(text, name, packages);
  const tree: Tree = written?.value ?? {};
  const origins = new ValueOrigins();
  applyEnvironment(tree, environmentSchema(packages), env, origins);
  layOver(
    tree,
    laid.filter(({ path }) => path.join() === "data_dir"),
    origins,
  );
  const named = entriesOf(tree);
  return {
    dataDirectory: resolve(
      text === null ? process.cwd() : dirname(resolve(name)),
      textOr(tree.data_dir, HOST_SECTIONS.data_dir.default),
    ),
    pluginsDirectory: resolve(dirname(resolve(name)), textOr(tree.plugins_dir, HOST_SECTIONS.plugins_dir.default)),
    named: new Set(named.map(([id]) => id)),
    configured: new Set(named.flatMap(([id, entry]) => (isObject(entry) && entry.config !== undefined ? [id] : []))),
    requests: packages.map((id) => {
      const { from, integrity = null, isolation, memory_mib: memoryMib } = (tree.plugins as Tree)[id] as WrittenPackage;
      return {
        id,
        from,
        integrity,
        isolation,
        memoryMib,
        problem: (message) => (written as LocatedYaml<Tree>).problem(["plugins", id], message),
      };
    }),
  };
}

// --- internal ---

type Tree = Record<string, unknown>;
type WrittenPackage = Pick<PackageRequest, "from" | "isolation"> & { readonly integrity?: string; readonly memory_mib?: number };

function parse(text: string, file: string, packages: readonly string[]): Promise<LocatedYaml<Tree>> {
  const entry = { type: "object", required: ["from"], properties: PACKAGE_KEYS };
  const plugins = { type: ["object", "null"], properties: Object.fromEntries(packages.map((id) => [id, entry])) };
  const schema = { type: "object", properties: packages.length === 0 ? {} : { plugins } };
  return parseLocatedYaml<Tree>(text, { file, schema, what: "configuration" });
}

function environmentSchema(packages: readonly string[]): ConfigSchema {
  const entry: ConfigSchema = { type: "object", properties: PACKAGE_KEYS };
  const { data_dir, plugins_dir } = HOST_SECTIONS;
  const plugins: ConfigSchema = { type: "object", properties: Object.fromEntries(packages.map((id) => [id, entry])) };
  return { type: "object", properties: { data_dir, plugins_dir, plugins } };
}

function entriesOf(tree: Tree | undefined): readonly (readonly [id: string, entry: unknown])[] {
  return isObject(tree?.plugins) ? Object.entries(tree.plugins) : [];
}

function isObject(value: unknown): value is Tree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What is no text is refused later, with everything else. */
function textOr(value: unknown, otherwise: string): string {
  return typeof value === "string" && value !== "" ? value : otherwise;
}
