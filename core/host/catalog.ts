import { readFileSync } from "node:fs";
import { Ajv, type ErrorObject } from "ajv";
import satisfies from "semver/functions/satisfies.js";
import { MezError } from "../errors/error.js";
import { PLUGIN_API_VERSION, type Plugin, type ProcessRole } from "../plugin/contract.js";
import type { LoginAnswer } from "../plugin/login-answer.js";
import type { Manifest } from "../plugin/manifest.js";
import type { PackageInfo, PluginHealth } from "../plugin/plugin-host.js";
import { explain, pathOf } from "../plugin/schema-error.js";
import { CORE_TABLES, historyTable } from "../storage/history-table.js";

/** A plugin that can be switched on: its manifest, and how to import its code. */
export interface CatalogEntry {
  /** As read from `plugin.json`; checked by `checkManifest` before anything else is done with it. */
  readonly manifest: unknown;
  /** On unless the config file or a command says otherwise. */
  readonly onByDefault?: boolean;
  /** Absent for a plugin of the build. */
  readonly package?: PackageInfo;
  /** @param afresh Evaluates the code again where that is possible. */
  readonly service?: (afresh?: boolean) => Promise<{ readonly default: Plugin<never> }>;
  /** Of a plugin that runs in a process of its own. */
  readonly health?: () => PluginHealth | null;
  /** Runs `register` of a plugin that does so in a process of its own, and compares; opens nothing else. */
  readonly verify?: (roles: ReadonlySet<ProcessRole>, config: unknown) => Promise<void>;
  readonly commands?: () => Promise<{ readonly default: unknown }>;
  /** The client side of the login step that it implements. */
  readonly loginAnswer?: () => Promise<{ readonly default: LoginAnswer }>;
}

export interface CheckedEntry extends CatalogEntry {
  readonly manifest: Manifest;
}

/** Every plugin this process knows, by id, in the order of the list that it was made from. */
export type Catalog = ReadonlyMap<string, CheckedEntry>;

/**
 * Checks each manifest and that no two entries claim one id, command, config section, gRPC service, permission, table or
 * collection, and no package an audit event of another plugin.
 * @param hostVersion The release, for the manifests' `host` range.
 * @throws {MezError} `PLUGIN_MANIFEST_INVALID`, naming plugin and place.
 */
export function makeCatalog(entries: readonly CatalogEntry[], hostVersion: string, schemaFile: URL): Catalog {
  const check = manifestCheck(schemaFile);
  const catalog = new Map<string, CheckedEntry>();
  const claims = new Map(CORE_TABLES.map((name) => [`table "${name}"`, "core"]));
  const claim = (what: string, id: string): void => {
    const owner = claims.get(what);
    if (owner !== undefined) throw invalid(id, `${what} is taken by plugin "${owner}"`);
    claims.set(what, id);
  };
  for (const entry of entries) {
    const manifest = check(entry.manifest, hostVersion);
    claim(`id "${manifest.id}"`, manifest.id);
    if (manifest.section !== undefined) claim(`config section "${manifest.section}" of ${sectionVariant(manifest)}`, manifest.id);
    for (const { binary, name, extends: isMore } of manifest.contributes?.commands ?? [])
      if (isMore !== true) claim(`command "${binary} ${name}"`, manifest.id);
    for (const [what, names] of contributionsOf(manifest)) for (const name of names) claim(`${what} "${name}"`, manifest.id);
    for (const type of manifest.contributes?.auditEvents ?? []) {
      const what = `audit event "${type}"`;
      if (entry.package === undefined) claims.set(what, manifest.id);
      else claim(what, manifest.id);
    }
    catalog.set(manifest.id, { ...entry, manifest });
  }
  return catalog;
}

// --- internal ---

function manifestCheck(schemaFile: URL): (manifest: unknown, hostVersion: string) => Manifest {
  // The schema is part of the build, and its tests check it: that is most of the work of compiling it.
  const validate = new Ajv({ allErrors: false, verbose: true, strict: false, validateSchema: false }).compile<Manifest>(
    JSON.parse(readFileSync(schemaFile, "utf8")),
  );
  return (manifest, hostVersion) => {
    const id = String((manifest as { id?: unknown } | null)?.id ?? "?").slice(0, 64);
    const { apiVersion } = (manifest ?? {}) as { apiVersion?: unknown };
    if (Number.isInteger(apiVersion) && apiVersion !== PLUGIN_API_VERSION)
      throw invalid(id, `apiVersion is ${String(apiVersion)}; this release has ${PLUGIN_API_VERSION}`);
    if (!validate(manifest)) throw invalid(id, describe(validate.errors?.[0], manifest));
    if (manifest.host !== undefined && !satisfies(hostVersion, manifest.host, { includePrerelease: true })) {
      throw invalid(id, `it asks for mezite ${manifest.host}; this is ${hostVersion}`);
    }
    if (manifest.entries.service !== undefined && manifest.runsIn === undefined)
      throw invalid(id, "it has a service entry but no runsIn");
    return manifest;
  };
}

function contributionsOf({ id, contributes }: Manifest): readonly (readonly [what: string, names: readonly string[]])[] {
  const tables = contributes?.tables ?? [];
  return [
    ["gRPC service", contributes?.rpc ?? []],
    ["permission", (contributes?.permissions ?? []).map(({ permission }) => permission)],
    ["table", tables.length > 0 ? [...tables, historyTable(id)] : []],
    ["collection", contributes?.collections ?? []],
  ];
}

/** Storage drivers share the `database` section: only the chosen one is ever on. */
function sectionVariant(manifest: Manifest): string {
  return manifest.implements?.some(({ port }) => port === "storage-driver") === true ? manifest.id : "the cluster";
}

function describe(error: ErrorObject | undefined, manifest: unknown): string {
  if (error === undefined) return "it does not match plugin.schema.json";
  return `in its manifest: ${explain(error, pathOf(error.instancePath, manifest), "manifest")}`;
}

function invalid(id: string, why: string): MezError {
  return new MezError("PLUGIN_MANIFEST_INVALID", `plugin "${id}": ${why}`);
}
