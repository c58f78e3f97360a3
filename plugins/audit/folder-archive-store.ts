import { randomUUID } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { toDiskError } from "../../core/errors/disk-error.js";
import type { ArchiveStore } from "./archive-store.js";

/** Keeps archived events in a folder of the auth server: folders of mode 0700, files of mode 0600. */
export class FolderArchiveStore implements ArchiveStore {
  readonly name: string;

  /** @param folder Absolute; made when the first file is written. */
  constructor(private readonly folder: string) {
    this.name = `folder:${folder}`;
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    const path = join(this.folder, key);
    const temporary = `${path}.${randomUUID()}${UNFINISHED}`;
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      const file = await open(temporary, "wx", 0o600);
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, path);
      await this.#syncFolders(dirname(path));
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      throw toDiskError(error, `the audit archive ${this.folder}`);
    }
  }

  async read(key: string): Promise<Buffer | null> {
    return unlessAbsent(() => readFile(join(this.folder, key)));
  }

  async size(key: string): Promise<number | null> {
    return unlessAbsent(async () => (await stat(join(this.folder, key))).size);
  }

  async *keys(): AsyncIterable<string> {
    const entries = await unlessAbsent(() => readdir(this.folder, { recursive: true, withFileTypes: true }));
    for (const entry of entries ?? []) {
      if (!entry.isFile() || entry.name.endsWith(UNFINISHED)) continue;
      yield relative(this.folder, join(entry.parentPath, entry.name)).split(sep).join("/");
    }
  }

  /** Makes the names last as well: those of the file, and of folders that were just made. */
  async #syncFolders(innermost: string): Promise<void> {
    for (let folder = innermost; ; folder = dirname(folder)) {
      const handle = await open(folder, "r");
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
      if (folder === this.folder || dirname(folder) === folder) return;
    }
  }
}

// --- internal ---

const UNFINISHED = ".new";

async function unlessAbsent<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}
