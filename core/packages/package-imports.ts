import { isBuiltin, registerHooks } from "node:module";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { MezError } from "../errors/error.js";
import { isInside } from "./package-tree.js";

/**
 * Has the code of a store import only what its own package holds, modules of Node, and what the host gives to plugins. All
 * else would be bytes that nobody checked, or a second copy of what has to be the host's.
 * @param store Folder of a `PackageStore`.
 */
export function confineImports(store: string): void {
  stores.add(store);
  if (isHooked) return;
  isHooked = true;
  registerHooks({
    resolve(specifier, context, next) {
      const copy = copyOf(context.parentURL);
      if (copy === null || isBuiltin(specifier)) return next(specifier, context);
      if (HOST_PACKAGES.some((name) => specifier === name || specifier.startsWith(`${name}/`)))
        return { url: import.meta.resolve(specifier), shortCircuit: true };
      const found = resolved(() => next(specifier, context));
      if (found !== null && (isBuiltin(found.url) || isIn(copy.folder, found.url))) return found;
      throw new MezError(
        "PLUGIN_PACKAGE_REFUSED",
        `plugin "${copy.id}" imports "${specifier.slice(0, 100)}", which its package does not hold; bundle it`,
      );
    },
  });
}

// --- internal ---

/** What plugins share with the host; an author lists these as peer dependencies. */
const HOST_PACKAGES = [
  "mezite",
  "@mikro-orm/core",
  "@mikro-orm/migrations",
  "@mikro-orm/sql",
  "@mikro-orm/sqlite",
  "@bufbuild/protobuf",
];
const stores = new Set<string>();
let isHooked = false;

/** The copy in a store that a module belongs to: `<store>/<id>/<sha256>/…`. */
function copyOf(url: string | undefined): { readonly id: string; readonly folder: string } | null {
  if (url === undefined || !url.startsWith("file:")) return null;
  const file = fileURLToPath(url);
  for (const store of stores) {
    if (!isInside(store, file)) continue;
    const [id = "", sha256 = ""] = relative(store, file).split("/");
    return { id, folder: join(store, id, sha256) };
  }
  return null;
}

function resolved<T>(find: () => T): T | null {
  try {
    return find();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND") return null;
    throw error;
  }
}

function isIn(folder: string, url: string): boolean {
  return url.startsWith("file:") && isInside(folder, fileURLToPath(url));
}
