import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { lstat, readdir, readlink, realpath } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, normalize, relative } from "node:path";
import { MezError } from "../errors/error.js";

/** A package holds at most so many files and bytes. */
export const MAX_FILES = 20_000;
export const MAX_BYTES = 256 * 1024 * 1024;

/** One file or symlink of a package. */
export interface TreeEntry {
  /** Relative, with forward slashes. */
  readonly path: string;
  readonly isExecutable: boolean;
  readonly size: number;
  /** Where a symlink leads, as it is written; `null` for a file. */
  readonly target: string | null;
}

/**
 * Lists what a package consists of: all of a folder, or one file and the `plugin.json` beside it.
 * @returns In the order of the bytes of their paths.
 * @throws {MezError} `PLUGIN_PACKAGE_REFUSED` for a symlink that leaves the folder, for anything that is neither file, folder
 *   nor symlink, and for too much.
 */
export async function listTree(place: string): Promise<{ readonly root: string; readonly entries: readonly TreeEntry[] }> {
  const isFolder = (await lstat(place)).isDirectory();
  const root = isFolder ? place : dirname(place);
  const found: TreeEntry[] = [];
  const limits = { files: 0, bytes: 0 };
  const visit = async (path: string): Promise<void> => {
    const entry = await entryAt(root, path, limits);
    if (entry !== null) return void found.push(entry);
    for (const name of await readdir(join(root, path))) await visit(path === "" ? name : `${path}/${name}`);
  };
  if (isFolder) await visit("");
  else for (const name of new Set(["plugin.json", basename(place)])) await visit(name);
  return { root, entries: found.sort((left, right) => Buffer.compare(Buffer.from(left.path), Buffer.from(right.path))) };
}

/**
 * The hash of a package: SHA-256 over the line `mezite-package 1` and one line for each entry, in the order of the bytes of
 * the paths: `<644|755|link> <SHA-256 of the bytes, or of a symlink's target, in hex> <path>`. 755 is a file that its owner
 * may execute. Each line ends with a line feed.
 * @returns In hex.
 */
export async function hashTree(root: string, entries: readonly TreeEntry[]): Promise<string> {
  const whole = createHash("sha256").update("mezite-package 1\n");
  for (const { path, isExecutable, target } of entries) {
    const mode = target !== null ? "link" : isExecutable ? "755" : "644";
    const hash = target === null ? await hashFile(join(root, path)) : createHash("sha256").update(target).digest("hex");
    whole.update(`${mode} ${hash} ${path}\n`);
  }
  return whole.digest("hex");
}

/**
 * Makes sure that every symlink of a copy ends inside of it; one may lead over another.
 * @throws {MezError} `PLUGIN_PACKAGE_REFUSED`
 */
export async function refuseEscapes(root: string, entries: readonly TreeEntry[]): Promise<void> {
  const real = await realpath(root);
  for (const { path, target } of entries) {
    if (target === null) continue;
    const end = await realpath(join(root, path)).catch(() => null);
    if (end === null || !isInside(real, end)) throw leaves(path, target);
  }
}

/** Whether `path` is `folder` or something in it; both absolute. */
export function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way === "" || (!isAbsolute(way) && way !== ".." && !way.startsWith("../"));
}

// --- internal ---

const MAX_PATH_BYTES = 1024;

/** @returns `null` for a folder. */
async function entryAt(root: string, path: string, limits: { files: number; bytes: number }): Promise<TreeEntry | null> {
  const stats = await lstat(join(root, path)).catch((cause: unknown) => {
    throw refused(`it has no file "${path}"`, cause);
  });
  limits.files += 1;
  if (limits.files > MAX_FILES) throw refused(`it holds more than ${MAX_FILES} files`);
  if (stats.isDirectory()) return null;
  // One path is one line of the hash, and has to be the same bytes wherever it is read.
  if (/\p{Cc}|\uFFFD/u.test(path) || Buffer.byteLength(path) > MAX_PATH_BYTES)
    throw refused(`the name ${JSON.stringify(path.slice(0, 100))} cannot be used in a package`);
  limits.bytes += stats.isFile() ? stats.size : 0;
  if (limits.bytes > MAX_BYTES) throw refused(`it holds more than ${MAX_BYTES / 1024 / 1024} MiB`);
  if (stats.isFile()) return { path, isExecutable: (stats.mode & 0o100) !== 0, size: stats.size, target: null };
  if (!stats.isSymbolicLink()) throw refused(`"${path}" is neither a file nor a folder`);
  const target = await readlink(join(root, path));
  if (isAbsolute(target) || normalize(join(dirname(path), target)).startsWith("..")) throw leaves(path, target);
  return { path, isExecutable: false, size: 0, target };
}

async function hashFile(file: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

function leaves(path: string, target: string): MezError {
  return refused(`its symlink "${path}" leads out of it, to "${target.slice(0, 100)}"`);
}

function refused(why: string, cause?: unknown): MezError {
  return new MezError("PLUGIN_PACKAGE_REFUSED", why, cause === undefined ? {} : { cause });
}
