import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { delimiter } from "node:path";
import { inProject, modernNode, ROOT } from "./project.mjs";

/** A failure that is told in one line, without a stack trace. */
export class BootstrapError extends Error {}

/** Tells what is being done, with the time it took. */
export function step(title, action) {
  const began = Date.now();
  console.error(`${title} ...`);
  const result = action();
  console.error(`${title}: done in ${((Date.now() - began) / 1000).toFixed(1)} s`);
  return result;
}

/** The environment in which the project's own tools find each other and the shipped Node. */
export function toolEnvironment(extra = {}) {
  return { ...process.env, PATH: inProject("node_modules", ".bin") + delimiter + (process.env.PATH ?? ""), ...extra };
}

/**
 * Runs a tool to its end, on this terminal.
 * @param title What a failure calls it, e.g. "npm ci".
 * @throws {BootstrapError} when it cannot be started or does not exit with 0.
 */
export function runTool(title, program, args, options = {}) {
  const result = spawnSync(program, args, { cwd: ROOT, stdio: "inherit", env: toolEnvironment(), ...options });
  if (result.error) throw new BootstrapError(`cannot run ${title}: ${result.error.message}`);
  if (result.status !== 0) throw new BootstrapError(`${title} failed with ${result.signal ?? `exit code ${result.status}`}`);
}

/** Runs npm, the one that started us where there is one. */
export function runNpm(args, environment = {}) {
  const title = `npm ${args[0]}`;
  const options = { env: { ...process.env, ...environment } };
  const cli = process.env.npm_execpath;
  if (cli && /\.c?js$/.test(cli) && existsSync(cli)) return runTool(title, process.execPath, [cli, ...args], options);
  return runTool(title, process.platform === "win32" ? "npm.cmd" : "npm", args, {
    ...options,
    shell: process.platform === "win32",
  });
}

/** The Node that runs our programs. Throws when neither the shipped nor the present one is of 24 or later. */
export function requireModernNode() {
  const node = modernNode();
  if (node) return node;
  throw new BootstrapError(
    `mezite needs Node 24 or later: none is shipped for ${process.platform}-${process.arch}, and this is ${process.versions.node}`,
  );
}

/** Node's flags that load the decorator metadata, found from whatever folder the program is started in. */
export const METADATA_FLAGS = ["--import", inProject("node_modules", "reflect-metadata", "Reflect.js")];

/** Node's flags for `mezd start`, the same that `cli/bin/mezd` reads: the first line. */
export function mezdFlags() {
  return readFileSync(inProject("cli", "bin", "mezd.flags"), "utf8")
    .split("\n", 1)
    .join()
    .split(" ");
}

/** Runs a compiled program of the project, e.g. `daemons/mezd.js`, and resolves to its exit code. */
export function runProgram(path, args, nodeFlags = []) {
  const file = inProject("dist", path);
  if (!existsSync(file)) throw new BootstrapError(`${path.replace(/js$/, "ts")} does not exist in this checkout`);
  return runNode([...nodeFlags, ...METADATA_FLAGS, file, ...args]);
}

/**
 * Runs the project's Node and resolves to its exit code. A terminal's Ctrl-C reaches every process of the group, and npm
 * sends it once more; the program is therefore kept in a group of its own and gets each signal from here, once.
 */
export function runNode(args, environment = {}) {
  const child = spawn(requireModernNode(), args, {
    cwd: ROOT,
    stdio: "inherit",
    env: toolEnvironment(environment),
    detached: process.platform !== "win32",
  });
  const lastSent = new Map();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => {
      if (Date.now() - (lastSent.get(signal) ?? 0) < 300) return;
      lastSent.set(signal, Date.now());
      child.kill(signal);
    });
  }
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve(code ?? (signal === "SIGINT" ? 130 : 1)));
  });
}
