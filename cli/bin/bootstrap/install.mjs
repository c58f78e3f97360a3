import { createHash } from "node:crypto";
import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { inProject, readStamp, shippedNodePackage, writeStamp } from "./project.mjs";
import { runNpm, step } from "./run.mjs";

const STAMP = inProject("node_modules", ".mezite-installed");

/** Installs what the lock file names, unless node_modules holds exactly that already. */
export function installDependencies() {
  const lock = readFileSync(inProject("package-lock.json"), "utf8");
  const wanted = createHash("sha256").update(`${lock}${process.platform}-${process.arch}`).digest("hex");
  if (readStamp(STAMP) === wanted) return;
  if (!matchesInstalled(JSON.parse(lock).packages)) {
    step("installing dependencies (npm ci)", () =>
      runNpm(["ci", "--loglevel=error", "--no-audit", "--no-fund", "--no-progress"]),
    );
  }
  writeStamp(STAMP, wanted);
}

/** Makes `npx mezctl`, `npx mezd` and `npx msh` work in the checkout: npm links only the commands of dependencies. */
export function linkCommands() {
  if (process.platform === "win32") return;
  mkdirSync(inProject("node_modules", ".bin"), { recursive: true });
  for (const name of ["mezctl", "mezd", "msh"]) {
    const link = inProject("node_modules", ".bin", name);
    if (lstatSync(link, { throwIfNoEntry: false })) continue;
    symlinkSync(`../../cli/bin/${name}`, link);
    chmodSync(inProject("cli", "bin", name), 0o755);
  }
}

// --- internal ---

/** Compares with npm's own record of what it installed; packages for other platforms may be absent. */
function matchesInstalled(wanted) {
  const record = inProject("node_modules", ".package-lock.json");
  if (!existsSync(record)) return false;
  const present = JSON.parse(readFileSync(record, "utf8")).packages;
  const shipped = `node_modules/${shippedNodePackage()}`;
  return Object.entries(wanted).every(([path, { version, optional }]) => {
    if (path === "") return true;
    const found = present[path];
    return found ? found.version === version && existsSync(inProject(path)) : optional === true && path !== shipped;
  });
}
