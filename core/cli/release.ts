import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** The folder of the package, where package.json lies. */
export const PACKAGE_ROOT = findRoot(import.meta.dirname);

/** The version of this release. */
export const RELEASE: string = (JSON.parse(readFileSync(join(PACKAGE_ROOT, "package.json"), "utf8")) as { version: string })
  .version;

// --- internal ---

function findRoot(from: string): string {
  let folder = from;
  while (!existsSync(join(folder, "package.json")) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}
