// Writes proto/gen from the .proto files; with --check it changes nothing and fails when proto/gen is not what they generate.
// buf and ts-proto come from node_modules: nothing is fetched.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const PROTO = fileURLToPath(new URL(".", import.meta.url)).replace(/[\\/]$/, "");
const ROOT = dirname(PROTO);
const CHECK_FOLDER = join(ROOT, ".build", "proto-check");
const STAMP = join(ROOT, "dist", ".mezite-proto-checked");

const problem = process.argv.includes("--check") ? check() : generate(PROTO);
if (problem) {
  console.error(problem);
  process.exitCode = 1;
}

// --- internal ---

/** Null when proto/gen is up to date, else what is wrong. Generates only when something in proto/ changed since the last time. */
function check() {
  const wanted = digestOf([...filesIn(PROTO), join(ROOT, "package-lock.json")]);
  if (existsSync(STAMP) && readFileSync(STAMP, "utf8") === wanted) return null;
  try {
    const failure = hasProto() ? buf(["lint", PROTO]) : null;
    if (failure) return failure;
    const generationFailure = generate(CHECK_FOLDER);
    if (generationFailure) return generationFailure;
    const stale = differences(join(PROTO, "gen"), join(CHECK_FOLDER, "gen"));
    if (stale.length > 0) return `proto/gen is not what the .proto files generate; run "npm run proto":\n  ${stale.join("\n  ")}`;
  } finally {
    rmSync(CHECK_FOLDER, { recursive: true, force: true });
  }
  mkdirSync(dirname(STAMP), { recursive: true });
  writeFileSync(STAMP, wanted);
  return null;
}

/** Writes `<folder>/gen`. Returns null when it worked. */
function generate(folder) {
  rmSync(join(folder, "gen"), { recursive: true, force: true });
  if (!hasProto()) return null;
  return buf(["generate", PROTO, "--template", join(PROTO, "buf.gen.yaml"), "--output", folder]);
}

function hasProto() {
  return filesIn(PROTO).some((file) => file.endsWith(".proto"));
}

function buf(args) {
  const program = join(ROOT, "node_modules", "@bufbuild", "buf", "bin", "buf");
  const path = join(ROOT, "node_modules", ".bin") + delimiter + (process.env.PATH ?? "");
  const result = spawnSync(process.execPath, [program, ...args], {
    cwd: PROTO,
    stdio: "inherit",
    env: { ...process.env, PATH: path },
  });
  return result.status === 0 ? null : `buf ${args[0]} failed`;
}

function filesIn(folder) {
  if (!existsSync(folder)) return [];
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

function digestOf(files) {
  const hash = createHash("sha256");
  for (const file of files)
    hash
      .update(`${relative(ROOT, file)}\0`)
      .update(readFileSync(file))
      .update("\0");
  return hash.digest("hex");
}

function differences(committed, fresh) {
  const read = (folder) => new Map(filesIn(folder).map((file) => [relative(folder, file), readFileSync(file, "utf8")]));
  const [before, after] = [read(committed), read(fresh)];
  const names = [...new Set([...before.keys(), ...after.keys()])].sort();
  return names.filter((name) => before.get(name) !== after.get(name));
}
