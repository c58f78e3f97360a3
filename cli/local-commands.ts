import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { PACKAGE_ROOT, RELEASE } from "../core/cli/release.js";
import type { CommandSummary } from "../core/cli/route.js";
import { PACKAGE_KEYS } from "../core/config/schema.js";
import { type CatalogEntry, makeCatalog } from "../core/host/catalog.js";
import { Packages } from "../core/packages/packages.js";
import { parseLocatedYaml } from "../core/plugin/checked-yaml.js";
import type { Manifest } from "../core/plugin/manifest.js";
import { BUILTIN_PLUGINS } from "../plugins/builtin.js";
import { LOCAL_COMMANDS_FILE } from "./foreign-commands.js";
import { pluginCommands } from "./plugin-commands.js";
import { readPrivateFile } from "./private-file.js";

/** What `~/.mezite/mezctl.yaml` brings. */
export interface LocalCommands {
  readonly commands: readonly CommandSummary[];
  /** Why packages that it names bring none. */
  readonly failures: readonly unknown[];
}

/**
 * Commands of packages on this machine that the person has named and pinned in `~/.mezite/mezctl.yaml`. Nothing else is looked at, and
 * code is imported when one of its commands is called.
 * @throws {MezError} `INVALID_DOCUMENT`, `CONFIG_INVALID` for the file itself
 */
export async function localCommands(meziteFolder: string): Promise<LocalCommands> {
  const file = join(meziteFolder, LOCAL_COMMANDS_FILE);
  const text = readPrivateFile(file);
  if (text === null) return { commands: [], failures: [] };
  const { value, problem } = await parseLocatedYaml<Written>(text, { file, schema: SCHEMA, what: "configuration" });
  const base = resolve(dirname(file), value.plugins_dir ?? ".");
  const packages = new Packages(join(meziteFolder, "packages"), BUILTIN_IDS);
  const found: CatalogEntry[] = [];
  const failures: unknown[] = [];
  for (const [id, { from, integrity }] of Object.entries(value.plugins ?? {})) {
    try {
      if (integrity === undefined) {
        const there = await packages.integrityOf(from, base);
        throw problem(["plugins", id], `plugins.${id} has no integrity; that of the package which is there is ${there}`);
      }
      const [entry] = await packages.open([{ id, from, integrity, addedBy: "config" }], base);
      // With those of the build, so that no word is taken twice.
      makeCatalog([...BUILTIN_PLUGINS, ...found, entry as CatalogEntry], RELEASE, SCHEMA_FILE);
      found.push(entry as CatalogEntry);
    } catch (error) {
      failures.push(error);
    }
  }
  const withCode = found.filter(({ commands }) => commands !== undefined);
  return { commands: pluginCommands("mezctl", withCode), failures };
}

// --- internal ---

const SCHEMA_FILE = pathToFileURL(join(PACKAGE_ROOT, "plugin.schema.json"));
const BUILTIN_IDS: ReadonlySet<string> = new Set(BUILTIN_PLUGINS.map(({ manifest }) => (manifest as Manifest).id));

interface Written {
  readonly plugins_dir?: string;
  readonly plugins?: Readonly<Record<string, { readonly from: string; readonly integrity?: string }>>;
}

const SCHEMA = {
  type: "object",
  additionalProperties: false,
  properties: {
    plugins_dir: { type: "string", minLength: 1 },
    plugins: {
      type: "object",
      additionalProperties: {
        type: "object",
        additionalProperties: false,
        required: ["from"],
        properties: { from: PACKAGE_KEYS.from, integrity: PACKAGE_KEYS.integrity },
      },
    },
  },
} as const;
