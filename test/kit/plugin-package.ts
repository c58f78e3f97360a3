import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { CatalogEntry } from "../../core/host/catalog.js";
import type { Plugin } from "../../core/plugin/contract.js";
import type { Manifest } from "../../core/plugin/manifest.js";

/**
 * Reads a plugin from its folder, as the host does with one from outside, without a copy and a check of its bytes.
 * @param folder Where `plugin.json` lies.
 */
export function readPluginPackage(folder: string | URL): CatalogEntry & { readonly manifest: Manifest } {
  const place = resolve(typeof folder === "string" ? folder : fileURLToPath(folder));
  const manifest = JSON.parse(readFileSync(join(place, "plugin.json"), "utf8")) as Manifest;
  const { service, commands } = manifest.entries;
  return {
    manifest,
    ...(service === undefined ? {} : { service: async () => ({ default: await defaultOf<Plugin<never>>(place, service) }) }),
    ...(commands === undefined ? {} : { commands: async () => ({ default: await defaultOf<unknown>(place, commands) }) }),
  };
}

// --- internal ---

/** The default export; CommonJS that TypeScript wrote has it inside of `module.exports`. */
async function defaultOf<T>(folder: string, file: string): Promise<T> {
  const { default: exported } = (await import(pathToFileURL(join(folder, file)).href)) as { default: T | { default: T } };
  return typeof exported === "object" && exported !== null && "__esModule" in exported
    ? (exported as unknown as { default: T }).default
    : (exported as T);
}
