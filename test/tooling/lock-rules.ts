import type { Finding } from "./import-rules.js";

interface LockedPackage {
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/**
 * Checks that package-lock.json names every optional package, also those for other platforms. npm leaves out what its registry
 * lacked at the time, and `npm ci` then refuses the file on a fresh clone.
 * @param lockFile The text of a lock file of version 3.
 */
export function checkLockFile(lockFile: string): Finding[] {
  const { packages } = JSON.parse(lockFile) as { readonly packages: Readonly<Record<string, LockedPackage>> };
  return Object.entries(packages).flatMap(([path, locked]) =>
    Object.keys(locked.optionalDependencies ?? {})
      .filter((name) => !foldersAbove(path).some((folder) => packages[`${folder}node_modules/${name}`]))
      .map((name) => ({
        file: "package-lock.json",
        line: 0,
        message: `lacks ${name}, an optional dependency of ${path || "mezite"}`,
      })),
  );
}

// --- internal ---

/** Where Node looks for what the package at `path` imports: inside it, then beside each package around it. */
function foldersAbove(path: string): string[] {
  if (path === "") return [""];
  const around = path.slice(0, path.lastIndexOf("node_modules/")).replace(/\/$/, "");
  return [`${path}/`, ...foldersAbove(around)];
}
