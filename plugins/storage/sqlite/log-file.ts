import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";

/** A file whose bytes can be put on the disk: `fdatasync`. */
export type DiskFile = Pick<FileHandle, "datasync" | "close">;

/** Opens a file that is there. */
export type OpenFile = (path: string) => Promise<DiskFile>;

export const openFile: OpenFile = (path) => open(path, "r+");

/**
 * The write-ahead log of a database that is open, by a descriptor of our own, so that it is flushed beside the event loop and
 * not in it. SQLite has no locks on this file; on the database and on `-shm` it has, and whoever closes any descriptor of those
 * takes all locks of the process away (https://www.sqlite.org/howtocorrupt.html, 2.2).
 *
 * Open from before the first write on: Linux tells of a write that failed later on whoever had the file open then.
 */
export class LogFile {
  private constructor(private readonly file: DiskFile) {}

  /** @param path Of the database. */
  static async open(path: string, openFile: OpenFile): Promise<LogFile> {
    const folder = await open(dirname(path), "r");
    try {
      // That the files are there has to outlive a power cut as well.
      await folder.sync();
    } finally {
      await folder.close();
    }
    return new LogFile(await openFile(`${path}-wal`));
  }

  /** Resolves when all of it is on the disk that SQLite has written until now. */
  flush(): Promise<void> {
    return this.file.datasync();
  }

  close(): Promise<void> {
    return this.file.close();
  }
}
