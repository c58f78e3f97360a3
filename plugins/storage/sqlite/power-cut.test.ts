import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openCrashDatabase, requireWhole, writeEntry } from "../../../test/fixtures/crash-writer.js";
import { type OpenFile, openFile } from "./log-file.js";
import { SqliteStorageDriver } from "./sqlite-driver.js";

/** A disk that has of the log what it had at the beginning of the last flush that ended. */
class ForgetfulDisk {
  #path = "";
  #kept: Buffer = Buffer.alloc(0);

  readonly open: OpenFile = async (path) => {
    const file = await openFile(path);
    this.#path = path;
    return {
      datasync: async () => {
        const bytes = readFileSync(path);
        await file.datasync();
        this.#kept = bytes;
      },
      close: () => file.close(),
    };
  };

  /** The log after a power cut. @param share Of what came after the flush, how much has reached the disk all the same: 0 to 1. */
  cut(share: number): Buffer {
    const bytes = readFileSync(this.#path);
    const kept = this.#kept.length;
    return Buffer.concat([this.#kept, bytes.subarray(kept, kept + Math.floor((bytes.length - kept) * share))]);
  }
}

test("a power cut takes nothing that was acknowledged, and leaves the audit chain whole", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "mezite-power-"));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, "mezite.db");
  // Closed, so the file has all tables and there is no log. Too little is written here for anything to be copied from the log to it.
  await (await openCrashDatabase(path)).close();
  const base = join(folder, "base.db");
  await copyFile(path, base);

  const disk = new ForgetfulDisk();
  const { database, close } = await openCrashDatabase(path, new SqliteStorageDriver(path, disk.open));
  const acknowledged: string[] = [];
  const cuts: { readonly log: Buffer; readonly acknowledged: readonly string[] }[] = [];
  const writer = async (lane: number): Promise<void> => {
    for (let count = 0; count < WRITES; count += 1) {
      const name = `${lane}-${count}`;
      await writeEntry(database, name);
      acknowledged.push(name);
      if (Math.random() < CUTS / (WRITES * WRITERS))
        cuts.push({ log: disk.cut(cuts.length % 2 === 0 ? 0 : Math.random()), acknowledged: [...acknowledged] });
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, (_, lane) => writer(lane)));
  cuts.push({ log: disk.cut(0), acknowledged });
  await close();

  for (const [index, { log, acknowledged }] of cuts.entries()) {
    const image = join(folder, `cut-${index}`, "mezite.db");
    await mkdir(join(folder, `cut-${index}`));
    await copyFile(base, image);
    await writeFile(`${image}-wal`, log);
    await requireWhole(image, acknowledged);
  }
  assert.equal(new Set(acknowledged).size, WRITES * WRITERS);
});

// --- internal ---

const WRITERS = 16;
const WRITES = 20;
const CUTS = 10;
