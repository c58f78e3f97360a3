import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { openCrashDatabase, requireWhole, writeEntry } from "../../../test/fixtures/crash-writer.js";
import type { LogState } from "./checkpoint-message.js";
import { CheckpointThread } from "./checkpoint-thread.js";
import { type OpenFile, openFile } from "./log-file.js";
import { SqliteStorageDriver } from "./sqlite-driver.js";

const WRITERS = 16;
const WRITES = 25;
const CUTS = 12;

/** What was on a disk when the power went. */
interface Cut {
  readonly data: string;
  readonly log: Buffer;
  readonly acknowledged: readonly string[];
}

/** A disk that has of each file what it had at the beginning of the last flush that ended. */
class ForgetfulDisk {
  /** How often the log was begun anew. */
  timesBegun = 0;
  #log: Buffer = Buffer.alloc(0);
  #logSince = 0;
  #data: string;
  #copies = 0;
  #snapshots = 0;
  #checkpoints = 0;
  /** Which log the one kept last is: its number and salts, https://www.sqlite.org/fileformat2.html#walformat. */
  #which = "";
  readonly #thread = CheckpointThread.prototype.checkpoint;

  constructor(
    private readonly path: string,
    private readonly folder: string,
  ) {
    this.#data = this.#copy();
  }

  readonly open: OpenFile = async (path) => {
    const file = await openFile(path);
    const isLog = path.endsWith("-wal");
    return {
      datasync: async () => {
        const keep = isLog ? this.#keepsLog() : this.#keepsData();
        await file.datasync();
        keep();
      },
      close: () => file.close(),
    };
  };

  /** SQLite flushes by itself in a checkpoint: the log first. */
  watchCheckpoints(): void {
    const [disk, checkpoint] = [this, this.#thread];
    CheckpointThread.prototype.checkpoint = async function (this: CheckpointThread): Promise<LogState> {
      const keep = disk.#keepsLog();
      disk.#checkpoints += 1;
      try {
        const state = await checkpoint.call(this);
        keep();
        return state;
      } finally {
        disk.#checkpoints -= 1;
      }
    };
  }

  unwatch(): void {
    CheckpointThread.prototype.checkpoint = this.#thread;
  }

  /**
   * @param hasMore Whether what was written after the flushes has reached the disk as well, the log in part. Pages of the
   * database only where SQLite has flushed the log before them.
   */
  cut(hasMore: boolean, acknowledged: readonly string[]): Cut {
    const bytes = readFileSync(`${this.path}-wal`);
    const kept = this.#log.length;
    const more = hasMore ? Math.floor((bytes.length - kept) * Math.random()) : 0;
    const data = hasMore && this.#checkpoints === 0 ? this.#copy() : this.#data;
    return { data, log: Buffer.concat([this.#log, bytes.subarray(kept, kept + more)]), acknowledged: [...acknowledged] };
  }

  #keepsLog(): () => void {
    this.#snapshots += 1;
    const [since, bytes] = [this.#snapshots, readFileSync(`${this.path}-wal`)];
    const which = bytes.toString("hex", 12, 24);
    if (this.#which !== "" && which !== this.#which) {
      // SQLite begins it anew only when all of it is in the database, and that on the disk; nothing was copied since.
      this.#keepsData()();
      this.timesBegun += 1;
    }
    this.#which = which;
    return () => {
      if (since < this.#logSince) return;
      [this.#logSince, this.#log] = [since, bytes];
    };
  }

  #keepsData(): () => void {
    const copy = this.#copy();
    return () => {
      this.#data = copy;
    };
  }

  // By another program: to open and close the file here would take SQLite's locks away.
  #copy(): string {
    const copy = join(this.folder, `data-${this.#copies++}`);
    execFileSync("cp", [this.path, copy]);
    return copy;
  }
}

suite("a power cut takes nothing that was acknowledged, and leaves the audit chain whole", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "mezite-power-"));
  });
  after(() => rm(folder, { recursive: true }));

  for (const [name, minFrames, isCopied] of [
    ["while the log grows", 1_000_000, false],
    ["while the log is copied into the database all the time", 20, true],
  ] as const)
    test(name, async (t) => {
      const here = join(folder, String(minFrames));
      await mkdir(here);
      const path = join(here, "mezite.db");
      await (await openCrashDatabase(path)).close();
      const disk = new ForgetfulDisk(path, here);
      disk.watchCheckpoints();
      t.after(() => disk.unwatch());
      const { database, close } = await openCrashDatabase(path, new SqliteStorageDriver(path, { open: disk.open, minFrames }));
      const acknowledged: string[] = [];
      const cuts: Cut[] = [];
      const writer = async (lane: number): Promise<void> => {
        for (let count = 0; count < WRITES || (isCopied && disk.timesBegun < 3); count += 1) {
          const entry = `${lane}-${count}`;
          await writeEntry(database, entry);
          acknowledged.push(entry);
          if (Math.random() < CUTS / (WRITES * WRITERS)) cuts.push(disk.cut(cuts.length % 2 === 1, acknowledged));
        }
      };
      await Promise.all(Array.from({ length: WRITERS }, (_, lane) => writer(lane)));
      cuts.push(disk.cut(false, acknowledged));
      await close();
      assert.equal(disk.timesBegun > 0, isCopied);

      for (const [index, { data, log, acknowledged }] of cuts.entries()) {
        const image = join(here, `cut-${index}`, "mezite.db");
        await mkdir(join(here, `cut-${index}`));
        await copyFile(data, image);
        await writeFile(`${image}-wal`, log);
        await requireWhole(image, acknowledged);
      }
    });
});
