import { realpathSync } from "node:fs";
import { join, resolve } from "node:path";
import semver from "semver";
import { MezError } from "../errors/error.js";
import { systemReason } from "../errors/system-reason.js";

/** Where the package of a plugin lies: an npm package that is installed already, or a folder or file. */
export type PackageSource =
  | { readonly kind: "npm"; readonly name: string; readonly version: string }
  | { readonly kind: "path"; readonly path: string };

/**
 * Reads `npm:<name>@<version>` or `path:<folder or file>`.
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function parsePackageSource(text: string): PackageSource {
  if (text.length > MAX_CHARACTERS) throw wrong(`${text.slice(0, 60)}…`);
  if (text.startsWith("path:") && text.length > "path:".length && !text.includes("\0"))
    return { kind: "path", path: text.slice("path:".length) };
  const [, name, version] = /^npm:((?:@[a-z0-9][a-z0-9._-]*\/)?[a-z0-9][a-z0-9._-]*)@([^@]+)$/.exec(text) ?? [];
  if (name === undefined || version === undefined) throw wrong(text);
  if (semver.valid(version) !== version)
    throw new MezError("INVALID_ARGUMENT", `"${text}": "${version}" is no exact version; write it like 1.4.2`);
  return { kind: "npm", name, version };
}

/**
 * Finds the package on this machine; nothing is downloaded.
 * @param base Folder whose `node_modules` holds npm packages, and in which relative paths begin.
 * @returns Its real path, of a folder or of one file.
 * @throws {MezError} `PLUGIN_PACKAGE_REFUSED`
 */
export function locatePackage(source: PackageSource, base: string): string {
  const place = source.kind === "npm" ? join(base, "node_modules", source.name) : resolve(base, source.path);
  try {
    return realpathSync(place);
  } catch (cause) {
    const help = source.kind === "npm" ? `; install it with "npm install --prefix ${base} ${source.name}@${source.version}"` : "";
    throw new MezError("PLUGIN_PACKAGE_REFUSED", `there is no package at ${place}: ${systemReason(cause)}${help}`, { cause });
  }
}

// --- internal ---

const MAX_CHARACTERS = 1024;

function wrong(text: string): MezError {
  return new MezError("INVALID_ARGUMENT", `"${text}" is no source of a package; write npm:<name>@<version> or path:<folder>`);
}
