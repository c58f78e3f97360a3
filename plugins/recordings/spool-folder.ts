import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RecordedChannel } from "./api.js";

/** What is known of a recording on this host's disk. Kept beside it, so that another process can upload it. JSON. */
export interface SpoolEntry extends Omit<RecordedChannel, "by" | "startedAt" | "width" | "height" | "terminal"> {
  readonly id: string;
  readonly by: "proxy" | "node";
  /** ISO 8601. */
  readonly startedAt: string;
  /** The run of a process that records it. */
  readonly processId: string;
  /** `null` while it is being recorded. */
  readonly end: SpoolEnd | null;
}

export interface SpoolEnd {
  /** ISO 8601. */
  readonly at: string;
  /** It is shorter than the session. */
  readonly interrupted: boolean;
}

/** The folder with the recordings that the auth service does not have yet: `<id>.cast` and `<id>.json` for each. */
export class SpoolFolder {
  constructor(private readonly path: string) {}

  create(): void {
    mkdirSync(this.path, { recursive: true, mode: 0o700 });
  }

  castPath(id: string): string {
    return join(this.path, `${id}.cast`);
  }

  has(id: string): boolean {
    return existsSync(this.castPath(id));
  }

  /** Writes what is known of a recording, whole or not at all. */
  describe(entry: SpoolEntry): void {
    const path = this.#entryPath(entry.id);
    try {
      writeFileSync(`${path}.new`, JSON.stringify(entry), { mode: 0o600 });
      renameSync(`${path}.new`, path);
    } catch (error) {
      rmSync(`${path}.new`, { force: true });
      throw error;
    }
  }

  /** Every recording in the folder, with those whose description cannot be read by their ids. */
  list(): { readonly entries: readonly SpoolEntry[]; readonly unreadable: readonly string[] } {
    const entries: SpoolEntry[] = [];
    const unreadable: string[] = [];
    for (const file of readdirSync(this.path).sort()) {
      if (!file.endsWith(".cast")) continue;
      const id = file.slice(0, -".cast".length);
      const entry = this.#read(id);
      if (entry === null) unreadable.push(id);
      else entries.push(entry);
    }
    return { entries, unreadable };
  }

  /** The description goes last: without it nobody would know whose recording is left. */
  remove(id: string): void {
    rmSync(this.castPath(id), { force: true });
    rmSync(`${this.#entryPath(id)}.new`, { force: true }); // a crash may have left it
    rmSync(this.#entryPath(id), { force: true });
  }

  #read(id: string): SpoolEntry | null {
    try {
      const entry = JSON.parse(readFileSync(this.#entryPath(id), "utf8")) as SpoolEntry;
      return entry.id === id ? entry : null;
    } catch {
      return null;
    }
  }

  #entryPath(id: string): string {
    return join(this.path, `${id}.json`);
  }
}
