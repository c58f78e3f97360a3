import { createHash } from "node:crypto";
import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { bundle } from "./bundle.mjs";
import { inProject, readStamp, writeStamp } from "./project.mjs";
import { requireModernNode, runTool, step } from "./run.mjs";

const STAMP = inProject("dist", ".mezite-compiled");
const SOURCE_FOLDERS = ["core", "plugins", "cli", "daemons", "proto/gen", "test"];
const OUTPUT = /\.(js|js\.map|d\.ts)$/;

/**
 * Compiles to dist/ when a source, tsconfig.json or the installed packages changed.
 * @throws {BootstrapError} when the compiler found a mistake; it has printed it.
 */
export function compile() {
  const wanted = signatureOfSources();
  if (readStamp(STAMP) === wanted) return;
  step("compiling", () => {
    removeOrphans("");
    runTool("tsc -b", requireModernNode(), [inProject("node_modules", "typescript", "bin", "tsc"), "-b"]);
    bundle("cli/msh/connect/main.js", "cli/msh/connect.cjs");
  });
  writeStamp(STAMP, wanted);
}

/** A digest of name, size and time of change of every source: two equal digests mean nothing to compile. */
export function signatureOfSources() {
  const hash = createHash("sha256");
  for (const path of ["tsconfig.json", "plugin.schema.json", "node_modules/.mezite-installed"]) addFile(hash, path);
  for (const folder of SOURCE_FOLDERS) addFolder(hash, folder);
  return hash.digest("hex");
}

// --- internal ---

function addFolder(hash, folder) {
  if (!existsSync(inProject(folder))) return;
  for (const entry of readdirSync(inProject(folder), { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) addFolder(hash, path);
    else if (/\.(ts|json)$/.test(entry.name)) addFile(hash, path);
  }
}

function addFile(hash, path) {
  const stat = statSync(inProject(path), { throwIfNoEntry: false });
  if (stat) hash.update(`${path}\0${stat.size}\0${stat.mtimeMs}\0`);
}

/** The compiler leaves the output of a deleted source behind, where its tests would still run. */
function removeOrphans(folder) {
  if (!existsSync(inProject("dist", folder))) return;
  for (const entry of readdirSync(inProject("dist", folder), { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) removeOrphans(path);
    else if (OUTPUT.test(path) && !existsSync(inProject(path.replace(OUTPUT, ".ts")))) rmSync(inProject("dist", path));
  }
}
