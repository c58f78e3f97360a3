import { existsSync, readFileSync, realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

/**
 * Where the code of the host and of its dependencies lies, as a process reads it that imports them: the folders in which Node
 * looks for them, and those that links in there lead to. A server that was installed beside its dependencies, from linked
 * folders, or by a package manager that keeps one store of packages reads from more than one place.
 * @param root Folder of the host's package.
 * @returns Absolute paths; everything below each is needed or is other packages' code.
 */
export function hostFolders(root: string): readonly string[] {
  const real = realpathSync(root);
  const found = new Set([root, real]);
  const { dependencies = {} } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    dependencies?: Record<string, string>;
  };
  for (const from of new Set([root, real])) {
    const { resolve } = createRequire(join(from, "package.json"));
    for (const name of Object.keys(dependencies)) {
      const folder = resolve.paths(name)?.find((each) => existsSync(join(each, name)));
      if (folder === undefined) continue;
      found.add(folder);
      found.add(storeOf(realpathSync(join(folder, name)), name));
    }
  }
  return [...found];
}

// --- internal ---

const LINKED_STORE = "/node_modules/.pnpm/";

/** The folder in which a dependency finds its own. */
function storeOf(place: string, name: string): string {
  const at = place.indexOf(LINKED_STORE);
  if (at >= 0) return place.slice(0, at + LINKED_STORE.length - 1);
  return place.endsWith(`/node_modules/${name}`) ? place.slice(0, -name.length - 1) : place;
}
