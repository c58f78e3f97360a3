import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { chmod, lstat, mkdir, open, readdir, rename, rm, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { MezError } from "../errors/error.js";
import { hashTree, listTree, MAX_BYTES, refuseEscapes, type TreeEntry } from "./package-tree.js";

/** A package in the store: what was hashed is what is run. */
export interface StoredPackage {
  readonly id: string;
  /** Hash of the tree, in hex; see `hashTree`. */
  readonly sha256: string;
  readonly folder: string;
}

/** Keeps the copies that plugins from outside run from: `<folder>/<id>/<sha256>/`, for this user alone. */
export class PackageStore {
  constructor(
    /** Absolute path; made when it is needed. */
    readonly folder: string,
  ) {}

  /**
   * Copies a package, hashes the copy and keeps it when it is the one that was asked for.
   * @param place Real path of the package, of a folder or of one file.
   * @param integrity `sha256-<64 hexadecimal digits>`; `null` takes whatever is there.
   * @throws {MezError} `PLUGIN_INTEGRITY_FAILED` with the hash that the package has; `PLUGIN_PACKAGE_REFUSED`
   */
  async take(id: string, place: string, integrity: string | null): Promise<StoredPackage> {
    const incoming = join(this.folder, id, `.incoming-${randomUUID()}`);
    await mkdir(incoming, { recursive: true, mode: 0o700 });
    await Promise.all([chmod(this.folder, 0o700), chmod(join(this.folder, id), 0o700)]);
    try {
      const { root, entries } = await listTree(place);
      for (const entry of entries) await copyEntry(entry, root, incoming);
      const sha256 = await hashOf(incoming);
      if (integrity !== null && integrity !== `sha256-${sha256}`) throw mismatch(place, integrity, sha256);
      const folder = join(this.folder, id, sha256);
      if ((await lstat(folder).catch(() => null)) !== null) {
        if ((await hashOf(folder).catch(() => null)) === sha256) return { id, sha256, folder };
        await rm(folder, { recursive: true });
      }
      await rename(incoming, folder);
      return { id, sha256, folder };
    } finally {
      await rm(incoming, { recursive: true, force: true });
    }
  }

  /** The copy that is kept of a package; `null` when there is none, or it is not whole. */
  async kept(id: string, integrity: string): Promise<StoredPackage | null> {
    const sha256 = integrity.slice("sha256-".length);
    if (!/^[0-9a-f]{64}$/.test(sha256)) return null;
    const folder = join(this.folder, id, sha256);
    return (await hashOf(folder).catch(() => null)) === sha256 ? { id, sha256, folder } : null;
  }

  /** Deletes every copy but those that are named; for a process that runs no others. */
  async prune(keep: readonly StoredPackage[]): Promise<void> {
    const kept = new Set(keep.map(({ folder }) => folder));
    const folders = (await readdir(this.folder, { withFileTypes: true }).catch(() => [])).filter((entry) => entry.isDirectory());
    for (const { name: id } of folders) {
      const copies = await readdir(join(this.folder, id));
      for (const copy of copies.map((name) => join(this.folder, id, name)))
        if (!kept.has(copy)) await rm(copy, { recursive: true });
      if (!keep.some((stored) => stored.id === id)) await rm(join(this.folder, id), { recursive: true });
    }
  }
}

/** The hash of a package where it lies, in hex. @throws {MezError} `PLUGIN_PACKAGE_REFUSED` */
export async function hashOf(place: string): Promise<string> {
  const { root, entries } = await listTree(place);
  await refuseEscapes(root, entries);
  return hashTree(root, entries);
}

// --- internal ---

async function copyEntry({ path, isExecutable, target }: TreeEntry, from: string, to: string): Promise<void> {
  const copy = join(to, path);
  await mkdir(dirname(copy), { recursive: true, mode: 0o700 });
  if (target !== null) return symlink(target, copy);
  // O_NOFOLLOW: it was a file when it was listed.
  const source = await open(join(from, path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stats = await source.stat();
    if (!stats.isFile() || stats.size > MAX_BYTES)
      throw new MezError("PLUGIN_PACKAGE_REFUSED", `"${path}" changed while it was copied`);
    const written = await open(copy, "wx", isExecutable ? 0o500 : 0o400);
    try {
      await written.writeFile(source.createReadStream({ autoClose: false, end: MAX_BYTES }));
    } finally {
      await written.close();
    }
  } finally {
    await source.close();
  }
}

function mismatch(place: string, integrity: string, sha256: string): MezError {
  return new MezError(
    "PLUGIN_INTEGRITY_FAILED",
    `the package at ${place} has integrity sha256-${sha256}, not ${integrity}; look at it, then pin it with "mezctl plugins pin", or in the config file that names it`,
  );
}
