import { readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Ajv } from "ajv";
import { pluginEntry } from "../config/schema.js";
import { MezError, messageOf } from "../errors/error.js";
import { systemReason } from "../errors/system-reason.js";
import type { PackageIdentity } from "../plugin/plugin-host.js";
import { isDuration } from "../time/duration.js";
import type { PackageSource } from "./package-source.js";
import type { StoredPackage } from "./package-store.js";

/**
 * Reads `plugin.json` of a stored package, and refuses what only a plugin of the build may say. What all manifests have to
 * be is checked by the catalog.
 * @throws {MezError} `PLUGIN_MANIFEST_INVALID`
 */
export async function readPackageManifest({ id, folder }: StoredPackage, source: PackageSource): Promise<unknown> {
  const manifest = asObject(await readJson(id, folder, "plugin.json"));
  if (manifest.id !== id)
    throw invalid(
      id,
      `the manifest of the package is that of plugin "${clip(manifest.id)}"; the key in the config file has to be the same word`,
    );
  if (manifest.essential !== undefined) throw invalid(id, "only plugins of the build are essential");
  if (manifest.section !== undefined && !isStorageDriver(manifest))
    throw invalid(id, "only plugins of the build have a section of the config file");
  if (source.kind === "npm") {
    const { name, version } = asObject(await readJson(id, folder, "package.json"));
    if (name !== source.name || version !== source.version)
      throw invalid(id, `the package is ${clip(name)}@${clip(version)}, not ${source.name}@${source.version}`);
  }
  const { service, commands } = asObject(manifest.entries);
  for (const entry of [service, commands]) if (typeof entry === "string") await refuseMissing(id, folder, entry);
  checkConfigSchema(id, manifest);
  return manifest;
}

/**
 * Whose manifest a package has, before it is in the store.
 * @param place Real path, of a folder or of one file.
 * @throws {MezError} `PLUGIN_MANIFEST_INVALID`
 */
export async function readManifestAt(place: string): Promise<Omit<PackageIdentity, "integrity">> {
  const folder = (await stat(place)).isDirectory() ? place : dirname(place);
  const { id, version, implements: filled } = asObject(await readJson(place, folder, "plugin.json"));
  if (typeof id !== "string" || !/^[a-z][a-z0-9.-]{0,63}$/.test(id))
    throw new MezError("PLUGIN_MANIFEST_INVALID", `the manifest of ${place} has no id of a plugin`);
  return { id, version: clip(version), ports: portsOf(filled) };
}

/** Which ports a package says that it fills, where it lies. @throws {MezError} `PLUGIN_MANIFEST_INVALID` */
export async function portsAt(place: string): Promise<readonly string[]> {
  const folder = (await stat(place)).isDirectory() ? place : dirname(place);
  const { implements: filled } = asObject(await readJson(place, folder, "plugin.json"));
  return portsOf(filled);
}

// --- internal ---

const MAX_BYTES = 256 * 1024;

async function readJson(id: string, folder: string, name: string): Promise<unknown> {
  try {
    const { size } = await stat(join(folder, name));
    if (size > MAX_BYTES) throw new Error(`it is larger than ${MAX_BYTES / 1024} KiB`);
    return JSON.parse(await readFile(join(folder, name), "utf8"));
  } catch (cause) {
    throw invalid(id, `${name} of the package cannot be read: ${systemReason(cause)}`, cause);
  }
}

async function refuseMissing(id: string, folder: string, entry: string): Promise<void> {
  const isFile = await stat(join(folder, entry)).then(
    (stats) => stats.isFile(),
    () => false,
  );
  if (!isFile) throw invalid(id, `the package has no file ${clip(entry)}, which entries names`);
}

/** The schema becomes a part of the whole file's, so it has to compile there. */
function checkConfigSchema(id: string, { config, secrets }: Record<string, unknown>): void {
  const schema = asObject(config ?? { type: "object", additionalProperties: false });
  if (schema.type !== "object" || schema.additionalProperties !== false)
    throw invalid(id, 'config has to be a closed schema: "type": "object", "additionalProperties": false');
  try {
    const ajv = new Ajv({ useDefaults: true, strictTypes: false, allowUnionTypes: true, formats: { duration: isDuration } });
    ajv.compile({ type: "object", properties: { plugin: pluginEntry(schema) } });
  } catch (cause) {
    const [, format, path = ""] = /^unknown format "(.*)" ignored in schema at path "(.*)"$/.exec(messageOf(cause)) ?? [];
    if (format === undefined) throw invalid(id, `config is no JSON Schema: ${messageOf(cause)}`, cause);
    const where = path.split("/properties/config/").at(-1) ?? "";
    throw invalid(
      id,
      `config has the format "${clip(format)}" at ${clip(where)}; use "duration", which is the only one, or a pattern`,
    );
  }
  for (const pointer of Array.isArray(secrets) ? secrets : [])
    if (!isDescribed(schema, String(pointer))) throw invalid(id, `secrets names ${clip(pointer)}, which config does not have`);
}

function isDescribed(schema: Record<string, unknown>, pointer: string): boolean {
  let place: unknown = schema;
  for (const key of pointer.split("/").slice(1)) {
    const properties = asObject(asObject(place).properties);
    if (!Object.hasOwn(properties, key)) return false;
    place = properties[key];
  }
  return asObject(place).type === "string";
}

function isStorageDriver({ section, implements: filled }: Record<string, unknown>): boolean {
  return section === "database" && Array.isArray(filled) && filled.some((each) => asObject(each).port === "storage-driver");
}

function portsOf(filled: unknown): readonly string[] {
  return Array.isArray(filled) ? [...new Set(filled.map((each) => clip(asObject(each).port)))].sort() : [];
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function clip(value: unknown): string {
  return String(value)
    .replace(/\p{Cc}/gu, "?")
    .slice(0, 64);
}

function invalid(id: string, why: string, cause?: unknown): MezError {
  return new MezError("PLUGIN_MANIFEST_INVALID", `plugin "${id}": ${why}`, cause === undefined ? {} : { cause });
}
