import { MezError } from "../errors/error.js";
import type { Manifest } from "../plugin/manifest.js";
import type { PackageIdentity, PackageToAdd } from "../plugin/plugin-host.js";
import type { Catalog } from "./catalog.js";
import type { PluginDecisions } from "./plugin-decisions.js";
import { whyFixed } from "./selection.js";

/**
 * What commands have said, with one more package; one that was added before under the same id is replaced.
 * @throws {MezError} `PLUGIN_INTEGRITY_FAILED`; `ALREADY_EXISTS` for a plugin of the build or of the config file
 */
export function withPackage(
  { overrides, added }: PluginDecisions,
  { id, integrity, ports }: PackageIdentity,
  { from, isolation, memoryMib, config, ...wanted }: PackageToAdd,
  catalog: Catalog,
  configFile: string | null,
): PluginDecisions {
  if (wanted.integrity !== undefined && wanted.integrity !== integrity)
    throw new MezError(
      "PLUGIN_INTEGRITY_FAILED",
      `the package of plugin "${id}" has integrity ${integrity}, not ${wanted.integrity}`,
    );
  const there = catalog.get(id);
  if (there !== undefined && there.package === undefined)
    throw new MezError("ALREADY_EXISTS", `plugin "${id}" is part of this build; a package cannot take its id`);
  if (there?.package?.addedBy === "config")
    throw new MezError(
      "ALREADY_EXISTS",
      `plugin "${id}" is in ${configFile ?? "the config file"}; change it there and run "mezctl plugins reload"`,
    );
  const entry = { from, integrity, isolation, memoryMib, config, ports };
  return { overrides: new Map(overrides).set(id, true), added: new Map(added).set(id, entry) };
}

/**
 * The same with another hash for a package that a command added.
 * @throws {MezError} `CONFLICT` for any other plugin, with what would be right
 */
export function withIntegrity(
  decisions: PluginDecisions,
  { id, integrity, ports }: PackageIdentity,
  catalog: Catalog,
  configFile: string | null,
): PluginDecisions {
  const entry = decisions.added.get(id);
  if (entry === undefined || (catalog.has(id) && catalog.get(id)?.package?.addedBy !== "command"))
    throw new MezError(
      "CONFLICT",
      `plugin "${id}" is in ${configFile ?? "the config file"}; write integrity: ${integrity} there and run "mezctl plugins reload"`,
    );
  return { overrides: decisions.overrides, added: new Map(decisions.added).set(id, { ...entry, integrity, ports }) };
}

/**
 * The same without a package that a command added.
 * @throws {MezError} `CONFLICT` for any other plugin, with what would be right
 */
export function withoutPackage(
  decisions: PluginDecisions,
  id: string,
  catalog: Catalog,
  configFile: string | null,
): PluginDecisions {
  const addedBy = catalog.has(id) || !decisions.added.has(id) ? catalog.get(id)?.package?.addedBy : "command";
  if (addedBy === undefined) {
    const manifest = catalog.get(id)?.manifest;
    const fixed = manifest === undefined ? null : whyFixed(manifest);
    const instead = `plugin "${id}" is part of this build; "mezctl plugins disable ${id}" switches it off`;
    throw new MezError("CONFLICT", fixed ?? instead);
  }
  if (addedBy === "config")
    throw new MezError(
      "CONFLICT",
      `plugin "${id}" is in ${configFile ?? "the config file"}; take it out there and run "mezctl plugins reload"`,
    );
  const [overrides, added] = [new Map(decisions.overrides), new Map(decisions.added)];
  overrides.delete(id);
  added.delete(id);
  return { overrides, added };
}

/**
 * What commands said is kept in a file, so secrets in it have to be references.
 * @throws {MezError} `CONFIG_INVALID`
 */
export function refuseClearSecrets({ id, secrets = [] }: Manifest, config: Readonly<Record<string, unknown>> = {}): void {
  for (const pointer of secrets) {
    let value: unknown = config;
    for (const key of pointer.split("/").slice(1)) {
      const place = typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
      value = Object.hasOwn(place, key) ? place[key] : undefined;
    }
    if (typeof value === "string" && !/^(file|env):/.test(value))
      throw new MezError(
        "CONFIG_INVALID",
        `${pointer.slice(1).replaceAll("/", ".")} of plugin "${id}" is a secret; write it as file:<path> or env:<NAME>`,
      );
  }
}
