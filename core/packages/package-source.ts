import { realpathSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import valid from "semver/functions/valid.js";
import { MezError } from "../errors/error.js";
import { systemReason } from "../errors/system-reason.js";
import { isInside } from "./package-tree.js";

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
  if (valid(version) !== version)
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
  const place = placeOf(source, base);
  try {
    return realpathSync(place);
  } catch (cause) {
    const help = source.kind === "npm" ? `; install it with "npm install --prefix ${base} ${source.name}@${source.version}"` : "";
    throw new MezError("PLUGIN_PACKAGE_REFUSED", `there is no package at ${place}: ${systemReason(cause)}${help}`, { cause });
  }
}

/**
 * The same for whoever may call, but not write into the folder of plugins: they must not choose what runs, nor learn what is
 * elsewhere. What leads out of the folder is refused in the same words, whether it is there or not.
 * @throws {MezError} `PLUGIN_PACKAGE_REFUSED`
 */
export function locateInside(source: PackageSource, base: string): string {
  const place = placeOf(source, base);
  const real = realOf(base);
  const isNamedInside = isInside(resolve(base), place) || (real !== null && isInside(real, place));
  if (real === null || !isNamedInside || !isInside(real, nearestReal(place))) throw outside(place, base);
  const found = locatePackage(source, base);
  if (!isInside(real, found)) throw outside(place, base);
  return found;
}

// --- internal ---

const MAX_CHARACTERS = 1024;

function placeOf(source: PackageSource, base: string): string {
  return source.kind === "npm" ? join(base, "node_modules", source.name) : resolve(base, source.path);
}

function realOf(path: string): string | null {
  try {
    return realpathSync(path);
  } catch {
    return null;
  }
}

/** Where a path leads, as far as it exists. */
function nearestReal(path: string): string {
  return realOf(path) ?? nearestReal(dirname(path));
}

function outside(place: string, base: string): MezError {
  return new MezError(
    "PLUGIN_PACKAGE_REFUSED",
    `${place} is not inside ${base} (plugins_dir); commands take packages from there only`,
  );
}

function wrong(text: string): MezError {
  return new MezError("INVALID_ARGUMENT", `"${text}" is no source of a package; write npm:<name>@<version> or path:<folder>`);
}
