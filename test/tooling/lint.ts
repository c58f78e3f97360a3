import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { checkFile, isGenerated } from "./file-rules.js";
import { checkImports, type Finding } from "./import-rules.js";
import { checkLockFile } from "./lock-rules.js";

/** The folder of package.json, seen from the compiled file. */
const ROOT = projectRoot(dirname(fileURLToPath(import.meta.url)));

const findings = lintProject(ROOT);
for (const { file, line, message } of findings) console.error(`${file}${line > 0 ? `:${line}` : ""}: ${message}`);
if (findings.length > 0) {
  console.error(`${findings.length} rule${findings.length === 1 ? " is" : "s are"} broken`);
  process.exitCode = 1;
}

// --- internal ---

function lintProject(root: string): Finding[] {
  const files = projectFiles(root);
  const pluginFolders = files.filter((file) => /^plugins\/.+\/plugin\.json$/.test(file)).map((file) => dirname(file));
  const ofFiles = files.flatMap((file) => {
    const text = readFileSync(join(root, file), "utf8");
    const isSource = file.endsWith(".ts") && !isGenerated(file);
    return [...checkFile(file, text), ...(isSource ? checkImports(file, text, pluginFolders) : [])];
  });
  return [...ofFiles, ...checkLockFile(readFileSync(join(root, "package-lock.json"), "utf8"))];
}

/** What git tracks or would track. */
function projectFiles(root: string): string[] {
  const git = spawnSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: root, encoding: "utf8" });
  if (git.status !== 0) throw new Error(`git ls-files: ${git.stderr || git.error?.message}`);
  return git.stdout.split("\0").filter((file) => file !== "" && existsSync(join(root, file)));
}

function projectRoot(folder: string): string {
  return existsSync(join(folder, "package.json")) ? folder : projectRoot(dirname(folder));
}
